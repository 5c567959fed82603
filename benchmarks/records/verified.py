"""What was found when cells of a published suite were run again with later code, kept beside its records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.record import RunRecord
from benchmarks.request.errors import SettingsError

FILE = "verified.json"
Change = tuple[str, str | None, str | None]
"""A file with the hashes of its code as it was and as it is; None where there was or is none."""
TRAINING, SOLVERS = "training FLOPs", "solver FLOPs"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VerifiedCell(_Part):
    """One cell. identity: of its record; answers: how many test answers its matrices hold, of which `differ` came out
    otherwise; error: why it has no such numbers, or what else came out otherwise; changed: in which files the code was
    another than that of the record."""

    scenario: str
    method: str
    seed: int
    identity: str
    answers: int
    differ: int
    error: str | None = None
    changed: tuple[Change, ...] = ()

    @property
    def equal(self) -> bool:
        return self.error is None and self.differ == 0


class Verification(_Part):
    """Cells run again at one commit, on one machine. torch: its version; products and instructions: as in a record's
    environment, None where it was not told yet. unreached: which other records of the suite can no longer be run again."""

    commit: str
    hardware: str
    threads: int
    products: str
    torch: str
    instructions: str | None = None
    cells: tuple[VerifiedCell, ...]
    unreached: tuple[str, ...] = ()


_FILE = TypeAdapter(tuple[Verification, ...])


def read_verified(folder: Path) -> tuple[Verification, ...]:
    """What is kept in the folder of a published suite; nothing where nothing is. Raises SettingsError for a broken file."""
    path = folder / FILE
    try:
        return _FILE.validate_json(path.read_text())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise SettingsError(
            [f"{path}: {str(error).splitlines()[0]}: `publish SUITE --verify N` writes it anew"]
        ) from None


def write_verified(folder: Path, verified: Iterable[Verification]) -> Path:
    return write_whole(folder / FILE, _FILE.dump_json(tuple(verified), indent=1).decode() + "\n")


def proved_equal(verified: Iterable[Verification]) -> set[Change]:
    """The changes of code with which some cell gave equal results, and none gave others."""
    found: dict[bool, set[Change]] = {True: set(), False: set()}
    for once in verified:
        for cell in once.cells:
            found[cell.equal].update(cell.changed)
    return found[True] - found[False]


def outcomes_that_differ(one: RunRecord, other: RunRecord) -> list[str]:
    """What differs between two runs of a cell that ended, but for their counts of right answers: nothing of it hangs on
    the machine, save SOLVERS, as GEM's is called as often as the gradients ask for it."""
    a, b = _outcomes(one), _outcomes(other)
    return [name for name in a if a[name] != b[name]]


def _outcomes(record: RunRecord) -> dict[str, Any]:
    flops, solvers = record.flops, record.flops.parts.get("solver", 0)
    return {
        "numbers of test images": record.matrix.total,
        "presence or size of matrix_other": record.matrix_other and record.matrix_other.total,
        "steps": record.steps,
        "parameters": record.parameters,
        "stored bytes": record.memory.stored_bytes,
        "inference FLOPs": [flops.inference, flops.inference_modules],
        TRAINING: (flops.training or 0) - solvers,
        SOLVERS: solvers,
    }
