"""Weight aligning (Zhao et al. 2020)."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.exemplar_training import exemplar_memory, keep_exemplars, with_exemplars
from methods.parts.exemplars import Policy, Select
from methods.parts.teacher import Teacher


class WA(Method):
    """(1 - l) CE + l KD over new data and exemplars, l = C_old / C_total, KD = -sum q^(1/T) log p^(1/T) (eq. 1-3).

    Then the output rows of the new classes are scaled by gamma = mean |w_old| / mean |w_new| (eq. 6-8), so that their
    logits are no larger for having been trained on more examples. Where new classes have no old ones to compete
    with, nothing is aligned.
    """

    about = "distils and rehearses exemplars, then scales the new classes' weights to the old ones' norm"
    source = "Zhao et al. 2020, Maintaining discrimination and fairness in class incremental learning"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars stored in all, or of each class (policy)", "Zhao et al. 2020, CIFAR-100"
    )
    policy: Policy = hyper(
        "total",
        'exemplars that buffer_size counts: in all ("total") or of each class ("per_class")',
        "Zhao et al. 2020",
    )
    select: Select = hyper("herding", "choice of exemplars", "Zhao et al. 2020")
    temperature: Annotated[float, Field(gt=0)] = hyper(
        2.0, "temperature that softens both distributions", "Zhao et al. 2020"
    )
    weighting: Literal["share", "sum"] = hyper(
        "share",
        'weights of the losses: "share": (1 - l) CE + l KD; "sum": CE + strength * KD',
        "share: Zhao et al. 2020, PyCIL; sum: the PyTorch tutorial on class-incremental learning",
    )
    strength: Annotated[float, Field(ge=0)] = hyper(
        2.0, 'weight of the distillation under "sum"', "the tutorial's code: T^2 / 2, with T = 2"
    )
    clamp_weights: bool = hyper(
        False, "output weights held at 0 or above after every step", "Zhao et al. 2020, section 4.2; DER's release"
    )

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        self.teacher: Teacher | None = None
        return super().build(scenario, model)

    def phases(self, task: TaskView):
        yield self.phase(with_exemplars(task.train, self.buffer))
        old = self.layout.rivals(task.id)
        self._gamma = float("nan")
        if old.start < old.stop:
            self._gamma = align(self.network.head.linear.weight, old, self.layout.new_columns(task.id))

    def loss(self, batch: Batch):
        if self.teacher is None:
            return super().loss(batch)
        scores = self.network(batch.x)
        new, old = self.cross_entropy(scores, batch), self.teacher.loss(scores, batch.x, self.temperature)
        if self.weighting == "sum":
            return new + self.strength * old
        share = self.layout.share_of_old(self.task.id)
        return (1 - share) * new + share * old

    def after_step(self, batch: Batch) -> None:
        if self.clamp_weights:
            for layer in self.network.head.modules():
                if isinstance(layer, nn.Linear):
                    layer.weight.clamp_(min=0)

    def end_task(self, task: TaskView) -> None:
        keep_exemplars(self, self.buffer, task.train)
        self.teacher = Teacher(self.frozen_copy(), self.layout.past_groups(task.id + 1))

    def diagnostics(self) -> dict[str, float]:
        """gamma: what the new rows were multiplied by; none where there was nothing to align."""
        return {} if math.isnan(self._gamma) else {"gamma": self._gamma}


@torch.no_grad()
def align(weight: Tensor, old: slice, new: slice) -> float:
    """Scales the rows `new` of weight [columns, d] to the mean length of the rows `old`; returns gamma (eq. 7)."""
    gamma = weight[old].norm(dim=1).mean() / weight[new].norm(dim=1).mean()
    weight[new] *= gamma
    return float(gamma)
