"""Learning without forgetting (Li & Hoiem 2017)."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from methods.base import Batch, Method, TaskView, hyper
from methods.losses import distillation


class LwF(Method):
    """Cross-entropy on the new task + distillation of the old network's outputs on the same images (eq. 1-3)."""

    about = "distils the previous network's answers on the new task's images"
    source = "Li & Hoiem 2017, Learning without forgetting"
    family = "regularisation"

    temperature: Annotated[float, Field(gt=0)] = hyper(
        2.0, "softens both distributions", "Li & Hoiem 2017, section 3.2"
    )
    strength: Annotated[float, Field(ge=0)] = hyper(
        1.0,
        "weight of the distillation (lambda_o), whose gradient is scaled by T^2; 1/T^2 undoes that",
        "Li & Hoiem 2017; the T^2 as in Hinton et al. 2015 and van de Ven's code",
    )
    weighting: Literal["sum", "share"] = hyper(
        "sum",
        'at task k: "sum": new + strength * old, summed over the old output groups; "share": (1/k) new + (1 - 1/k) old, their mean',
        "Li & Hoiem 2017; van de Ven & Tolias 2019",
    )

    def begin_task(self, task: TaskView) -> None:
        self._groups = self.layout.past_groups(task.id)

    def loss(self, batch: Batch):
        if not self._groups:
            return super().loss(batch)
        features = self.network.backbone(batch.x)
        new = self.cross_entropy(self.network.head(features, batch.tasks), batch)
        with torch.no_grad():
            answers = self._teacher(batch.x)
        scores = self.network.head(features)
        old = sum(distillation(scores[:, g], answers[:, g], self.temperature) for g in self._groups)
        if self.weighting == "sum":
            return new + self.strength * old
        k = self.task.id + 1
        return new / k + (1 - 1 / k) * old / len(self._groups)

    def end_task(self, task: TaskView) -> None:
        self._teacher = self.frozen_copy()

    def footprint(self) -> dict[str, int]:
        if self.seen == 0:
            return {}
        return {"teacher": sum(p.numel() * p.element_size() for p in self._teacher.parameters())}
