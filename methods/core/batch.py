"""What a method is handed: a task without its test data, and minibatches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
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
    active: the classes that the loss of each example is taken over; epoch from 0; targets float32 [N, columns so far]:
    what mixed images (mixup) are of, then in place of y, else None."""

    x: Tensor
    y: Tensor
    tasks: int | Tensor
    active: ActiveClasses
    stored: Examples | Callable[[], Examples]
    epoch: int = 0
    targets: Tensor | None = None

    @property
    def examples(self) -> Examples:
        """The same as stored (uint8): selected only now, since most steps need no more than x."""
        return self.stored if isinstance(self.stored, Examples) else self.stored()

    @property
    def task_ids(self) -> Tensor:
        """Task ids as int64 [N], also where all examples share one."""
        return torch.full_like(self.y, self.tasks) if isinstance(self.tasks, int) else self.tasks

    def __len__(self) -> int:
        return len(self.y)
