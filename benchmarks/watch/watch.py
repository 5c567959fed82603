"""All who hear of a cell while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.cell.callbacks import Callbacks, Several
from benchmarks.cell.checkpoint import Progress
from benchmarks.cell.run_log import RunLog
from benchmarks.records.cell_progress import CellProgress
from benchmarks.records.record import RunRecord
from benchmarks.records.store import Store
from benchmarks.request.suite import CellSettings
from benchmarks.watch.background import Background
from benchmarks.watch.choice import TrackerChoice, Watching
from benchmarks.watch.reporter import Reporter
from benchmarks.watch.tracker import Run, flat

LOG_EVERY = 10.0
"""Seconds between two lines of log.txt, beside those after each task."""


class Watch:
    """`callbacks` are those of `run_cell`. tell: a callback for the progress of `cell`. without: trackers that were busy at the end of an earlier cell of this
    process; `finish` adds to them."""

    def __init__(
        self,
        cell: CellSettings,
        store: Store,
        watching: Watching,
        tell: Callable[[CellProgress], object] = lambda progress: None,
        without: set[str] | None = None,
    ):
        self.warnings: list[str] = []
        self._tell, self._without = tell, set() if without is None else without
        self._log = RunLog(store.log(cell), cell) if watching.logs else None
        self._logged = time.monotonic()
        self._reporter = Reporter(cell, self._told)
        self._trackers = {
            choice.name: Background(choice.name, choice.make, partial(_run, cell, store, choice), self._warn)
            for choice in watching.trackers
            if choice.name not in self._without
        }
        logs = [self._log, _LineATask(self._log, self._reporter)] if self._log else []
        others = [*logs, *self._trackers.values()]
        self.callbacks: Callbacks = Several([self._reporter, *others]) if others else self._reporter

    def finish(self, record: RunRecord) -> list[str]:
        """After the cell, its record being safe: waits a few seconds for trackers. Gives what is to be said of them."""
        for name, tracker in self._trackers.items():
            if not tracker.finish(record):
                self._without.add(name)
        return self.warnings

    def _told(self, progress: CellProgress) -> None:
        if self.warnings:
            progress = replace(progress, warning=self.warnings[-1])
        self._tell(progress)
        if self._log and time.monotonic() - self._logged >= LOG_EVERY:
            self._logged = time.monotonic()
            self._log.say(progress.text)

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        if self._log:
            self._log.say(text)


@dataclass
class _LineATask(Callbacks):
    """In log.txt."""

    log: RunLog
    reporter: Reporter

    def task(self, progress: Progress) -> None:
        self.log.say(self.reporter.now.text)


def _run(cell: CellSettings, store: Store, choice: TrackerChoice, steps: int | None) -> Run:
    return Run(
        name=cell.label,
        group=store.folder.name,
        id=store.path(cell).stem,
        folder=choice.folder,
        settings=flat(cell.identity_settings()),
        steps=steps,
    )
