"""What hears of a cell while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from methods import Phase

if TYPE_CHECKING:
    from benchmarks.cell.checkpoint import Progress


@dataclass(frozen=True)
class Epoch:
    """An epoch that has ended. task, epoch: from 1, the epoch within its phase; steps: of the phase so far; loss: mean
    over the epoch's steps; lr: of the next step; seconds: of the epoch."""

    task: int
    phase: str
    epoch: int
    steps: int
    loss: float
    lr: float
    seconds: float


class Callbacks:
    """Hears of a cell while it runs. Every method here does nothing; a subclass overrides those that it needs.

    They are called where the cell trains: they are quick, draw no random number and change nothing of what they are given.
    """

    def start(self, progress: Progress) -> None:
        """Before the first task to come, `progress.done` tasks being finished."""

    def step(self, phase: Phase, epoch: int, steps: int, loss_sum: Tensor) -> None:
        """After a step. epoch: from 1, the one at hand; steps: of the phase so far; loss_sum: a scalar, the sum of their
        losses. Reading it makes an accelerator wait, so it is read now and then, and not kept: it changes."""

    def epoch(self, epoch: Epoch) -> None:
        """After an epoch."""

    def task(self, progress: Progress) -> None:
        """After a task and its evaluation."""


class Several(Callbacks):
    """All of `callbacks`, one after the other."""

    def __init__(self, callbacks: list[Callbacks]):
        self._heard = {name: _overriding(callbacks, name) for name in ("start", "step", "epoch", "task")}
        self._steps = self._heard["step"]

    def start(self, progress: Progress) -> None:
        self._tell("start", progress)

    def step(self, phase: Phase, epoch: int, steps: int, loss_sum: Tensor) -> None:
        for step in self._steps:
            step(phase, epoch, steps, loss_sum)

    def epoch(self, epoch: Epoch) -> None:
        self._tell("epoch", epoch)

    def task(self, progress: Progress) -> None:
        self._tell("task", progress)

    def _tell(self, name: str, what: Any) -> None:
        for method in self._heard[name]:
            method(what)


def _overriding(callbacks: list[Callbacks], name: str) -> list[Callable[..., None]]:
    """The methods of this name that do something: a step is short beside a few empty calls."""
    return [getattr(c, name) for c in callbacks if getattr(type(c), name) is not getattr(Callbacks, name)]
