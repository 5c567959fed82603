"""What was found when cells of a published suite were run again with later code, kept beside its records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from benchmarks.records.atomic_write import write_whole
from benchmarks.request.errors import SettingsError

FILE = "verified.json"
Change = tuple[str, str | None, str | None]
"""A file with the hashes of its code as it was and as it is; None where there was or is none."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VerifiedCell(_Part):
    """One cell. answers: how many test answers its matrices hold, of which `differ` came out otherwise; error: why it
    has no such numbers; changed: in which files the code was another than that of the record."""

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
    environment, None where it was not told yet."""

    commit: str
    hardware: str
    threads: int
    products: str
    torch: str
    instructions: str | None = None
    cells: tuple[VerifiedCell, ...]


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
    """The changes of code with which some cell gave equal matrices, and none gave others."""
    found: dict[bool, set[Change]] = {True: set(), False: set()}
    for once in verified:
        for cell in once.cells:
            found[cell.equal].update(cell.changed)
    return found[True] - found[False]
