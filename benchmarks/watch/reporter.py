"""Tells how far a cell has come, at most once a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from torch import Tensor

from benchmarks.cell.callbacks import Callbacks
from benchmarks.cell.checkpoint import Progress
from benchmarks.records.cell_progress import CellProgress
from benchmarks.request.suite import CellSettings
from methods import Phase, method_class

EVERY = 1.0
"""Seconds between two updates, each of which reads the loss off the device."""


class Reporter(Callbacks):
    """Calls `tell` with the CellProgress of `cell`; `now` is the last one, with the time left as of then."""

    def __init__(
        self,
        cell: CellSettings,
        tell: Callable[[CellProgress], object],
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._tell, self._every, self._clock = tell, every, clock
        tasks = cell.scenario.tasks
        # joint trains on all data so far: its k-th task takes k times as long
        grows = method_class(cell.method.name).sees_past_data
        self._left = TimeLeft([float(k + 1) if grows else 1.0 for k in range(tasks)], clock())
        self._done, self._phase, self._epoch, self._epochs = 0, "", 0, 0
        self._accuracy: float | None = None
        self._loss: float | None = None
        self._seen, self._seen_sum = 0, 0.0
        self._due = clock()

    @property
    def now(self) -> CellProgress:
        return CellProgress(
            tasks=len(self._left.weights),
            done=self._done,
            phase=self._phase,
            epoch=self._epoch,
            epochs=self._epochs,
            loss=self._loss,
            accuracy=self._accuracy,
            left=self._left.seconds(self._clock()),
        )

    def start(self, progress: Progress) -> None:
        self._done, self._accuracy = progress.done, _accuracy(progress)
        self._left.start(progress.done, self._clock())
        self._tell_if_due()

    def step(self, phase: Phase, epoch: int, steps: int, loss_sum: Tensor) -> None:
        if steps > 1 and self._clock() < self._due:
            return
        if steps == 1:
            self._phase, self._epochs = phase.name, -(-phase.total_steps // phase.steps_per_epoch)
            self._loss, self._seen, self._seen_sum = None, 0, 0.0
            self._left.phase()
            if self._clock() < self._due:
                self._epoch = epoch
                return
        self._epoch, total = epoch, float(loss_sum)
        self._loss = (total - self._seen_sum) / (steps - self._seen)
        self._seen, self._seen_sum = steps, total
        self._left.within(steps / phase.total_steps, self._clock())
        self._tell_if_due()

    def task(self, progress: Progress) -> None:
        self._done, self._accuracy = progress.done, _accuracy(progress)
        self._phase, self._epoch, self._epochs, self._loss = "", 0, 0, None
        self._left.task(self._clock())
        self._tell_if_due()

    def _tell_if_due(self) -> None:
        now = self._clock()
        if now >= self._due:
            self._due = now + self._every
            self._tell(self.now)


def _accuracy(progress: Progress) -> float | None:
    """The mean accuracy on the tasks so far; None before the first, and where they were not evaluated."""
    row = progress.matrix.accuracy[progress.done, : progress.done]
    return None if not row.size or np.isnan(row).any() else float(row.mean())


class TimeLeft:
    """Seconds left, from what the last finished task took: tasks take as long as their `weights` say.

    Before a task is finished, and within one, from the part of its phase that is done; that a task has several phases is
    learned from the one before it.
    """

    def __init__(self, weights: list[float], now: float):
        self.weights = weights
        self._task, self._began = 0, now
        self._rate: float | None = None
        self._is_guess = True  # until a task is finished
        self._phases, self._usual = 0, 1
        self._fraction = 0.0

    def start(self, done: int, now: float) -> None:
        self._task, self._began = done, now

    def phase(self) -> None:
        self._phases += 1

    def within(self, fraction: float, now: float) -> None:
        """`fraction` of the phase at hand is done."""
        usual = max(self._usual, self._phases)
        self._fraction = (self._phases - 1 + fraction) / usual
        if self._is_guess:
            self._rate = (now - self._began) / self._fraction / self.weights[self._task]

    def task(self, now: float) -> None:
        """The task at hand is done."""
        self._rate, self._is_guess = (now - self._began) / self.weights[self._task], False
        self._task, self._began, self._usual = self._task + 1, now, max(1, self._phases)
        self._phases, self._fraction = 0, 0.0

    def seconds(self, now: float) -> float | None:
        """None where nothing is known yet."""
        if self._rate is None:
            return None
        if self._task == len(self.weights):
            return 0.0
        here = self._rate * self.weights[self._task]
        left = here * (1 - self._fraction) if self._fraction else max(0.0, here - (now - self._began))
        return left + self._rate * sum(self.weights[self._task + 1 :])
