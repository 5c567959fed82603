"""What every executor is: cells in, outcomes out.

An executor is a function of the cells to run that gives an Outcome as each is finished; its records are then in the
store, where one that failed lies beside a good one of an earlier run (Store.failure). It raises StorageFailed where a record cannot be written and DataNotFound where data is absent; closed early, it
ends what it has started. `local` runs cells on this machine; `on_ray` and `on_slurm` bring cells to machines on which
`local` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from benchmarks.records.record import RunRecord
from benchmarks.request.suite import CellSettings
from benchmarks.wording import last_line


class StorageFailed(RuntimeError):
    """A record could not be written."""


@dataclass(frozen=True)
class Outcome:
    """A cell that is finished. status as in the record; error: its last line; seconds: wall time of the cell.

    where: what ran it, where that was not this run: "another run", or a node. warnings: of trackers that failed.
    record: what this run left; the store may still have a good one of an earlier run where it failed.
    """

    cell: CellSettings
    status: str
    error: str | None
    seconds: float
    accuracy: float
    where: str = ""
    warnings: tuple[str, ...] = ()
    record: RunRecord | None = None


Executor = Callable[[list[CellSettings]], Generator[Outcome, None, None]]


@dataclass(frozen=True)
class Limits:
    """What a cell that misbehaves may cost.

    cell_timeout: seconds after which it is stopped and recorded as failed; run again, it goes on from its last finished
    task. max_retries: how often a cell is tried again whose process died.
    """

    cell_timeout: float | None = None
    max_retries: int = 1


USUAL = Limits()


def outcome_of(cell: CellSettings, record: RunRecord, where: str = "", warnings: Iterable[str] = ()) -> Outcome:
    accuracy = record.score("acc") if record.status == "done" else float("nan")
    error = last_line(record.error) if record.error else None
    return Outcome(cell, record.status, error, record.seconds["total"], accuracy, where, tuple(warnings), record)
