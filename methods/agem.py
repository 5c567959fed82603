"""Averaged gradient episodic memory (Chaudhry et al. 2019, Efficient lifelong learning with A-GEM)."""

from typing import Annotated

import torch
from pydantic import Field

from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.episodic import EpisodicMemory, Select, Share
from methods.parts.gradients import flat_gradient, gradient_of, set_gradient
from methods.parts.reservoir import draw
from scenarios import Examples


class AGEM(Method):
    """The gradient is projected so that it does not raise the loss on a batch from memory (eq. 11)."""

    about = "projects the gradient when it would raise the loss of a stored batch"
    source = "Chaudhry et al. 2019, Efficient lifelong learning with A-GEM"
    family = "projection"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(1000, "examples stored in all, an equal share a task")
    reference_ratio: Annotated[float, Field(gt=0)] = hyper(
        1.0, "memory examples in the reference gradient, for each new one", "mammoth, van de Ven: a batch as large"
    )
    select: Select = hyper(
        "random",
        'stored examples of a task: "random" ones, or the "last" as the data set has them (shuffled first where that is class by class)',
        "Chaudhry et al. 2019",
    )

    share: Share = hyper(
        "all",
        'a task\'s share of the buffer: the same of "all" tasks, or of those "seen", shrinking with each',
        "all: Lopez-Paz & Ranzato 2017; seen: the code of Hsu et al. 2018",
    )

    def build(self, scenario, model):
        self.buffer = EpisodicMemory(
            self.buffer_size, self.layout.n_tasks, self.select, self.generator("buffer"), self.share
        )
        self._draws = self.generator("replay")
        return super().build(scenario, model)

    def begin_task(self, task: TaskView) -> None:
        self._past: Examples | None = self.buffer.all() if len(self.buffer) else None

    def adjust_gradients(self, batch: Batch) -> None:
        if self._past is None:
            return
        parameters = [p for p in self.parameters if p.requires_grad]
        old = self.batch(self._past[draw(len(self._past), self._referenced(batch), self._draws)])
        reference = gradient_of(super().loss(old), parameters)
        gradient = flat_gradient(parameters)
        # both products whether needed or not: what a step costs must not depend on the data (see step_shape)
        along, square = torch.dot(gradient, reference), torch.dot(reference, reference)
        # asking an accelerator would make the host wait for it; but what has no gradient must be left without one
        ask = self.device.type == "cpu" or any(p.grad is None for p in parameters)
        if not ask or along < 0:
            projected = gradient - along / square * reference
            set_gradient(parameters, projected if ask else torch.where(along < 0, projected, gradient))

    def end_task(self, task: TaskView) -> None:
        self.buffer.store(task.train)

    def step_shape(self, batch: Batch):
        return len(batch), min(len(self.buffer), self._referenced(batch))

    def _referenced(self, batch: Batch) -> int:
        return max(1, round(self.reference_ratio * len(batch)))
