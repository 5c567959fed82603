"""Synaptic intelligence (Zenke, Poole & Ganguli 2017)."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.quadratic import QuadraticPenalty, grown


class SI(Method):
    """Loss + strength * sum Omega (theta - theta*)^2, with Omega = sum over tasks of omega / (Delta^2 + damping).

    omega is the path integral of -gradient * step along training (eq. 3-5 of the paper).
    """

    about = "quadratic penalty weighted by each parameter's part in lowering past losses"
    source = "Zenke et al. 2017, Continual learning through synaptic intelligence"
    family = "regularisation"

    strength: Annotated[float, Field(ge=0)] = hyper(
        1.0, "penalty strength (c)", "Zenke et al. 2017, c = 1 on Split MNIST"
    )
    damping: Annotated[float, Field(gt=0)] = hyper(
        0.1, "damping (xi), which keeps Omega finite", "Zenke et al. 2017, permuted MNIST; van de Ven"
    )
    path_gradient: Literal["task", "total"] = hyper(
        "task",
        "gradient in the path integral: of the task's loss, or with the penalty",
        "Zenke, Hsu: task; van de Ven: total",
    )

    def build(self, scenario, model):
        self.refuse_fp16("a skipped step of 0 times an infinite gradient is no number on its path")
        self.penalty = QuadraticPenalty()
        return super().build(scenario, model)

    def begin_task(self, task: TaskView) -> None:
        self._start = [p.detach().clone() for p in self.parameters]
        self._path = [torch.zeros_like(p) for p in self._start]

    def adjust_gradients(self, batch: Batch) -> None:
        parameters = self.parameters
        if self.path_gradient == "task":
            self._remember(parameters)
        if self.penalty:
            self.penalty.add_gradient(parameters, self.strength)
        if self.path_gradient == "total":
            self._remember(parameters)

    def _remember(self, parameters) -> None:
        self._moved = [p for p in parameters if p.grad is not None]
        with torch.no_grad():
            self._before = [p.clone() for p in self._moved]
        self._gradient = [p.grad.clone() for p in self._moved]

    def after_step(self, batch: Batch) -> None:
        step = torch._foreach_sub(self._moved, self._before)
        torch._foreach_mul_(step, self._gradient)
        path = self._path if len(self._moved) == len(self._path) else self._paths_of(self._moved)
        torch._foreach_sub_(path, step)

    def _paths_of(self, moved):
        place = {id(p): k for k, p in enumerate(self.parameters)}
        return [self._path[place[id(p)]] for p in moved]

    def end_task(self, task: TaskView) -> None:
        parameters = self.parameters
        omega = [
            w / ((p.detach() - start).square() + self.damping)
            for w, p, start in zip(self._path, parameters, self._start, strict=True)
        ]
        if self.penalty:
            omega = [grown(old, new) + new for old, new in zip(self.penalty.importance, omega, strict=True)]
        self.penalty.replace(omega, parameters)
