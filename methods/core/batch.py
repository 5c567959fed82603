"""What a method is handed: a task without its test data, and minibatches."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from scenarios import Examples
from scenarios.active import ActiveClasses


@dataclass(frozen=True)
class TaskView:
    """What a method gets to see of a task: no test data; `past` only where it declares `sees_past_data`."""

    id: int
    outputs: slice
    train: Examples
    past: tuple[TaskView, ...] = ()


@dataclass(slots=True)
class Batch:
    """A minibatch. x float32 [N, C, H, W], normalised; y int64 [N], output columns; tasks: one id or int64 [N];
    active: the classes that the loss of each example is taken over; examples: the same as stored (uint8); epoch from 0; targets
    float32 [N, columns so far]: what mixed images (mixup) are of, then in place of y, else None."""

    x: Tensor
    y: Tensor
    tasks: int | Tensor
    active: ActiveClasses
    examples: Examples
    epoch: int = 0
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)
