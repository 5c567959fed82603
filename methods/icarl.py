"""iCaRL: incremental classifier and representation learning (Rebuffi et al. 2017)."""

from functools import partial
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from methods.core.losses import distillation
from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.exemplar_training import exemplar_memory, with_exemplars
from methods.parts.exemplars import Policy, Select
from methods.parts.features import features_of
from methods.parts.nearest_mean import NearestMean
from methods.parts.teacher import Teacher


class ICaRL(Method):
    """Trains on new data and exemplars with distillation, and classifies by the nearest mean of exemplars.

    "bce" (Rebuffi et al. 2017, Algorithm 3): a sigmoid a column; its target is the label in the new task's columns, and
    in those of the tasks before the old network's sigmoid of its logits / temperature. "ce": cross-entropy over all
    columns + distillation of the old network's softmax at the temperature. Where tasks share columns, "bce" has
    both targets for them, each a term of its own.
    """

    about = "distils the old network on new data and exemplars; answers with the nearest mean of exemplars"
    source = "Rebuffi et al. 2017, iCaRL: Incremental classifier and representation learning"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars stored in all, or of each class (policy)", "Rebuffi et al. 2017"
    )
    policy: Policy = hyper(
        "total",
        'exemplars that buffer_size counts: in all ("total") or of each class ("per_class")',
        "total: Rebuffi 2017; per_class: van de Ven et al. 2022 (100)",
    )
    select: Select = hyper("herding", "choice of exemplars", "Rebuffi et al. 2017, Algorithm 4")
    objective: Literal["bce", "ce"] = hyper(
        "bce", "loss of the new task", "bce: Rebuffi 2017, van de Ven et al. 2022; ce: PyCIL"
    )
    columns: Literal["sum", "mean"] = hyper(
        "sum",
        "reduction of bce over columns (over examples it is a mean)",
        "sum: van de Ven 2022; mean: Rebuffi's code, with a learning rate of 2",
    )
    distill: Annotated[float, Field(ge=0)] = hyper(1.0, "weight of the distillation", "Rebuffi et al. 2017; PyCIL")
    temperature: Annotated[float, Field(gt=0)] = hyper(
        2.0, "temperature of the distillation; in bce of its targets only", "2: PyCIL, van de Ven 2022; 1: Rebuffi 2017"
    )
    squared: bool = hyper(False, "a factor of T^2 on the distillation (ce)", "no: PyCIL; yes: Hinton et al. 2015")
    flip_means: bool = hyper(False, "mirrored images in the class means too", "Rebuffi's code: yes, on photographs")

    added_later = frozenset({"squared"})

    @property
    def reads_targets(self) -> bool:  # type: ignore[override]
        return self.objective == "ce"

    def answers_unseen(self, layout):
        return layout.columns[0] == layout.columns[-1]  # else no exemplars have the classes

    @property
    def reads_pixels(self) -> bool:  # type: ignore[override]
        return self.flip_means

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        self.means: NearestMean | None = None
        return super().build(scenario, model)

    def begin_task(self, task: TaskView) -> None:
        self._groups = self.layout.past_groups(task.id)
        if self.objective == "bce" and self.layout.new_columns(task.id) == task.outputs:
            # of columns that are active before their task (active_outputs "all") the old network knows nothing
            self._groups = [slice(g.start, min(g.stop, task.outputs.start)) for g in self._groups]

    def phases(self, task: TaskView):
        yield self.phase(with_exemplars(task.train, self.buffer))

    def loss(self, batch: Batch):
        logits = self.network(batch.x)  # of all columns: those of old heads are distilled
        new = self.cross_entropy(logits, batch) if self.objective == "ce" else self._binary(logits, batch)
        if not self._groups:
            return new
        answers = self.teacher(batch.x)
        if self.objective == "ce":
            old = sum(distillation(logits[:, g], answers[:, g], self.temperature, self.squared) for g in self._groups)
        else:
            old = sum(self._bce(logits[:, g], torch.sigmoid(answers[:, g] / self.temperature)) for g in self._groups)
        return new + self.distill * old

    def _binary(self, logits: Tensor, batch: Batch) -> Tensor:
        """Of the task's columns; rows of which they are not active (exemplars of another head) are left out."""
        columns = self.task.outputs
        wanted = F.one_hot(batch.y, logits.shape[1])[:, columns].to(logits.dtype)
        weight = batch.active.mask_of(logits)[:, columns].to(logits.dtype)
        return self._bce(logits[:, columns], wanted, weight)

    def _bce(self, logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        total = F.binary_cross_entropy_with_logits(logits, targets, weight, reduction="sum") / len(logits)
        return total if self.columns == "sum" else total / self.layout.width(self.task.id)

    def end_task(self, task: TaskView) -> None:
        self.buffer.update(task.train, partial(features_of, self))
        self.means = NearestMean(self, self.buffer, self.flip_means)
        self.teacher = Teacher(self.frozen_copy())

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        if self.means is None:
            return self.network(x)
        return self.means.scores(self.network.backbone(x), self.layout.width(self.seen - 1))
