"""Feeds a tracker from a thread of its own: whatever it does, the cell goes on as without it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cell.callbacks import Callbacks, Epoch
from benchmarks.cell.checkpoint import Progress
from benchmarks.records.record import RunRecord
from benchmarks.watch.picture import picture
from benchmarks.watch.tracker import Run, Tracker

MOST_EVENTS = 4096
"""That wait for a tracker; what comes when so many do is dropped."""
CLOSING = 5.0
"""Seconds that a tracker has, when its cell is done, for what waits."""


class Background(Callbacks):
    """Tells what happens to the tracker that `make` gives. run: of which the settings and name are told. warn: hears once
    that it raised, that it is too slow, and that it did not finish."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Tracker],
        run: Callable[[int | None], Run],
        warn: Callable[[str], object],
        most: int = MOST_EVENTS,
    ):
        self._name, self._make, self._run, self._warn = name, make, run, warn
        self._events: queue.Queue[tuple[Callable[..., None], tuple[Any, ...]]] = queue.Queue(most)
        self._given_up, self._dropped = False, 0
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._closed = threading.Event()
        self._steps, self._phase_steps = 0, 0
        self._made = threading.Event()
        self._thread.start()
        self._made.wait(CLOSING)  # imports while a checkpoint is written could spoil it

    # ---- on the cell's thread --------------------------------------------------------------------------------------

    def start(self, progress: Progress) -> None:
        self._steps = progress.trainer.steps
        rows = progress.matrix.accuracy
        self._put(self._begin, self._steps if progress.done else None, rows, progress.done)

    def epoch(self, epoch: Epoch) -> None:
        if epoch.epoch == 1:  # of another phase
            self._steps += self._phase_steps
        self._phase_steps = epoch.steps
        values = {"train/loss": epoch.loss, "train/lr": epoch.lr}
        self._put(self._scalars, values, self._steps + epoch.steps)

    def task(self, progress: Progress) -> None:
        self._steps, self._phase_steps = progress.trainer.steps, 0
        self._put(self._row, progress.matrix.accuracy, progress.done)

    def finish(self, record: RunRecord, seconds: float = CLOSING) -> bool:
        """Tells how the cell ended and waits for the tracker, but `seconds` at most; gives whether it has finished."""
        deadline = time.monotonic() + seconds
        while not self._given_up:
            try:
                self._events.put((self._end, (record,)), timeout=0.05)
                break
            except queue.Full:
                if time.monotonic() > deadline:
                    break
        self._closed.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        alive = self._thread.is_alive()
        if alive:
            self._warn(f"tracker {self._name} was still busy {seconds:g} s after the cell; the rest is not tracked")
        elif self._dropped:
            self._warn(f"tracker {self._name} missed {self._dropped} events of the cell")
        self._given_up = True
        return not alive

    def _put(self, what: Callable[..., None], *arguments: Any) -> None:
        if self._given_up:
            return
        try:
            self._events.put_nowait((what, arguments))
        except queue.Full:
            if not self._dropped:
                self._warn(f"tracker {self._name} is too slow: what it has no time for is dropped")
            self._dropped += 1

    # ---- on the tracker's ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._tracker = self._make()
            self._made.set()
            while not self._given_up:
                try:
                    what, arguments = self._events.get(timeout=0.2)
                except queue.Empty:
                    if self._closed.is_set():
                        return
                    continue
                what(*arguments)
                if what == self._end:
                    return
        except BaseException as error:
            said = (str(error).strip().splitlines() or [""])[0]
            self._warn(f"tracker {self._name} failed, the cell goes on without it: {type(error).__name__}: {said}")
            self._given_up = True
        finally:
            self._made.set()

    def _begin(self, steps: int | None, accuracy: NDArray[np.float64], done: int) -> None:
        self._tracker.start(self._run(steps))
        for task in range(done + 1):
            self._numbers(accuracy, task)

    def _scalars(self, values: dict[str, float], step: int) -> None:
        self._tracker.scalars(values, step)

    def _row(self, accuracy: NDArray[np.float64], done: int) -> None:
        self._numbers(accuracy, done)
        self._tracker.image("accuracy/matrix", picture(accuracy), done)

    def _numbers(self, accuracy: NDArray[np.float64], done: int) -> None:
        row, width = accuracy[done], len(str(accuracy.shape[1]))
        values = {f"accuracy/task{j:0{width}}": float(r) for j, r in enumerate(row, 1) if not np.isnan(r)}
        if done and not np.isnan(row[:done]).any():
            values["accuracy/mean"] = float(row[:done].mean())
        if values:
            self._tracker.scalars(values, done)

    def _end(self, record: RunRecord) -> None:
        self._tracker.end(_scores(record))


def _scores(record: RunRecord) -> dict[str, float]:
    """The scores and costs of a record that came to its end, but for those that it has none of."""
    if record.status != "done":
        return {}
    from benchmarks.records.results import COSTS, frame_of
    from metrics import SCORES

    row = frame_of([record]).iloc[0]
    return {id: float(row[id]) for id in (*SCORES, *COSTS) if not np.isnan(float(row[id]))}
