"""The cells that a run has still to do, and those that it waits for because another run does them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.executors.contract import Outcome, StorageFailed, outcome_of
from benchmarks.records.claims import Claims
from benchmarks.records.matching import distinct
from benchmarks.records.record import RunRecord
from benchmarks.records.store import Store
from benchmarks.request.suite import CellSettings

LOOK = 2.0
"""Seconds between two looks at the cells that other runs do."""

File = tuple[int, int] | None
Version = tuple[File, File]
"""The files that lie under the name of a cell's record, and under that of its failure (Store.failure)."""
Versions = Mapping[str, Version | None]
"""By the identity of a cell; None: nothing."""


def versions(store: Store, cells: list[CellSettings]) -> dict[str, Version]:
    """Of each cell by identity, what lies there now; of cells with the same settings that of the first, which is run."""
    return {cell.identity: version(store, cell) for cell in distinct(cells)}


def version(store: Store, cell: CellSettings) -> Version:
    """Tells what a run has left of `cell` from what was there before."""
    return _file(store.path(cell)), _file(store.failure(cell))


def record_since(store: Store, cell: CellSettings, before: Version | None) -> RunRecord | None:
    """The record of a run of `cell` that is not of `before`; None: there was nothing."""
    record, failure = version(store, cell)
    record_before, failure_before = before or (None, None)
    if failure is not None and failure != failure_before:
        return store.failures(cell.identity).get(cell.identity)
    return store.find(cell) if record != record_before else None


class Queue:
    """Hands out `cells`, each claimed first where there are `claims`. before: the `versions` from which on a record
    counts as that of another run that did the cell meanwhile; None: from now on."""

    def __init__(
        self,
        cells: list[CellSettings],
        store: Store,
        claims: Claims | None = None,
        before: Versions | None = None,
    ):
        self.store, self.claims = store, claims
        self._free, self._held = deque(cells), deque[CellSettings]()
        self._before = versions(store, cells) if before is None else before
        self._done: deque[Outcome] = deque()
        self._looked = float("-inf")

    def __bool__(self) -> bool:
        """Whether there are cells left, free or held by others."""
        return bool(self._free or self._held or self._done)

    @property
    def has_free(self) -> bool:
        return bool(self._free)

    def take(self, where: str = "") -> CellSettings | None:
        """The next cell to run; None where there is none left, or others hold them all for the time being."""
        while self._free:
            cell = self._free.popleft()
            try:
                if self.claims and not self.claims.holds(cell) and not self.claims.take(cell, where):
                    self._held.append(cell)
                    continue
            except OSError as error:
                raise StorageFailed(f"{cell.label}: {error}") from None
            if not self._done_by_others(cell):
                return cell
            self.release(cell)
        return None

    def look(self) -> None:
        """Tells the other runs that this one lives, and frees the cells that they have given up."""
        if self.claims is None:
            return
        self.claims.beat()
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        held, self._held = self._held, deque()
        self._free += [cell for cell in held if not self._done_by_others(cell)]

    def finished_by_others(self) -> Iterator[Outcome]:
        while self._done:
            yield self._done.popleft()

    def again(self, cell: CellSettings) -> None:
        """`cell`, which this run took, is to be tried once more, next."""
        self._free.appendleft(cell)

    def release(self, cell: CellSettings) -> None:
        """`cell`, which this run took, is done or given up."""
        if self.claims:
            self.claims.release(cell)

    def note(self, cell: CellSettings, **facts) -> None:
        if self.claims:
            self.claims.note(cell, **facts)

    def _done_by_others(self, cell: CellSettings) -> bool:
        record = record_since(self.store, cell, self._before.get(cell.identity))
        if record is None:
            return False
        self._done.append(outcome_of(cell, record, "another run"))
        return True


def _file(path: Path) -> File:
    """Tells a file from one that lay there before; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns
