"""Learning without forgetting (Li & Hoiem 2017)."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from methods.core.losses import distillation
from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.teacher import Teacher


class LwF(Method):
    """Cross-entropy on the new task + distillation of the old network's outputs on the same images (eq. 1-3)."""

    about = "distils the previous network's answers on the new task's images"
    source = "Li & Hoiem 2017, Learning without forgetting"
    family = "regularisation"

    temperature: Annotated[float, Field(gt=0)] = hyper(
        2.0, "temperature that softens both distributions", "Li & Hoiem 2017, section 3.2"
    )
    strength: Annotated[float, Field(ge=0)] = hyper(
        1.0,
        "weight of the distillation (lambda_o)",
        "Li & Hoiem 2017; the T^2 as in Hinton et al. 2015 and van de Ven's code",
    )
    weighting: Literal["sum", "tasks", "share"] = hyper(
        "sum",
        'weights of the losses at task k, old meaning strength * distillation: "sum": new + old, summed over the old output groups; "tasks": new + (k - 1) old, their mean; "share": (1/k) new + (1 - 1/k) old, their mean',
        "sum: Li & Hoiem 2017; tasks: van de Ven et al. 2022 (task, domain); share: van de Ven & Tolias 2019",
    )
    columns: Literal["old", "all"] = hyper(
        "old",
        'the student\'s softmax in the distillation: over the "old" columns, or over "all" that exist, the teacher\'s '
        "probability of the new ones being 0",
        "old: Li & Hoiem 2017; all: van de Ven & Tolias 2019, class-incremental",
    )
    class_mean: bool = hyper(
        False,
        "division of each distillation by the student's number of columns: its mean over classes, not their sum",
        "no: Li & Hoiem 2017 eq. 2; yes: van de Ven & Tolias' code until early 2019",
    )
    compete: Literal["setting", "new"] = hyper(
        "setting",
        'classes in the cross-entropy: those active by the "setting", or the "new" task\'s alone',
        "setting: Li & Hoiem 2017 with a head a task, van de Ven's code; new: PyCIL",
    )
    squared: bool = hyper(True, "a factor of T^2 on the distillation", "Hinton et al. 2015; no: PyCIL")
    added_later = frozenset({"class_mean", "compete", "squared"})

    def begin_task(self, task: TaskView) -> None:
        self._groups = self.layout.past_groups(task.id)

    def loss(self, batch: Batch):
        if not self._groups:
            return super().loss(batch)
        features = self.network.backbone(batch.x)
        new = self.cross_entropy(self.network.classify(features, batch.tasks), batch)
        answers, scores = self.teacher(batch.x), self.network.classify(features)
        over = self._groups
        if self.columns == "all":
            over = [self.layout.active_in_training(past, self.seen).columns for past in range(len(over))]
        terms = []
        for columns, group in zip(over, self._groups, strict=True):
            student = scores[:, columns]
            term = distillation(student, answers[:, group], self.temperature, self.squared)
            terms.append(term / student.shape[1] if self.class_mean else term)
        old = self.strength * (terms[0] if len(terms) == 1 else torch.stack(terms).sum())
        k = self.task.id + 1
        if self.weighting == "sum":
            return new + old
        old = old / len(terms)
        return new + (k - 1) * old if self.weighting == "tasks" else new / k + (1 - 1 / k) * old

    def end_task(self, task: TaskView) -> None:
        self.teacher = Teacher(self.frozen_copy())
