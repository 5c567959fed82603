"""Records on disk: one JSON file a cell, written whole or not at all."""

from __future__ import annotations

import gc
import glob
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.records.atomic_write import sweep, temporary_file, write_whole
from benchmarks.records.claims import sweep_claims
from benchmarks.records.record import RecordError, RunRecord, read_json
from benchmarks.records.verified import Verification
from benchmarks.request.errors import SettingsError
from benchmarks.request.names import file_name
from benchmarks.request.scored import ScoredCell
from benchmarks.request.suite import CellSettings

RECORD_BYTES = 64 * 1024
"""A generous size of one record, for the check of free space."""


@dataclass
class Scan:
    """What lies in a folder of records: readable ones by identity, and a line for each file that is not one.
    places: where each lies, from the folder: a file's name, with the line where there are several in it.
    verified: of published records, what was found when some of their cells were run again. published: whether they are
    published, or about to be: then a seed counts when every method has run it."""

    records: dict[str, RunRecord] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    verified: tuple[Verification, ...] = ()
    places: dict[str, str] = field(default_factory=dict)
    published: bool = False

    def add(self, record: RunRecord, place: str) -> None:
        """Of two records of one cell, one that is done counts."""
        known = self.records.get(record.identity)
        if known is None or known.status != "done":
            self.records[record.identity] = record
            self.places[record.identity] = place


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, Python does not look for garbage: while records are read all that is made is kept, and looking through it
    again and again takes a quarter of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def previous_checkpoint(path: Path) -> Path:
    """Beside the checkpoint `path` of a cell, the one before it."""
    return path.with_suffix(".previous.pt")


class Store:
    """The records of one suite under `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, record: RunRecord | CellSettings | ScoredCell) -> Path:
        if isinstance(record, RunRecord):
            scenario, method = record.scenario, record.method
        else:
            scenario, method = record.scenario_name, record.method_name
        return self.folder / f"{file_name(scenario)}.{method}.seed{record.seed}.{record.identity[:12]}.json"

    def save(self, record: RunRecord) -> Path:
        """Writes `record` to a temporary file, to the disk, then under its name: a file that exists is whole.

        It takes the place of all records of its cell, also of one that was run under other names. The record of a run
        that failed never takes the place of one that came to its end: it is kept beside that, as `failure`.
        """
        path, there, failure = self.path(record), self._of_same_cell(record), self.failure(record)
        if record.status == "failed" and any(other.status != "failed" for other in there.values()):
            return write_whole(failure, record.to_json(), to_disk=True)
        write_whole(path, record.to_json(), to_disk=True)
        failure.unlink(missing_ok=True)
        for other in there.keys() - {path}:
            other.unlink(missing_ok=True)
        return path

    def _of_same_cell(self, record: RunRecord) -> dict[Path, RunRecord]:
        """The whole records of its cell, whatever its scenario and method were called when it was run."""
        found = {}
        for path in self.folder.glob(f"*.seed{record.seed}.{record.identity[:12]}.json"):
            try:
                other = RunRecord.from_document(read_json(path))
            except (OSError, RecordError):
                continue  # `scan` names it
            if other.identity == record.identity:
                found[path] = other
        return found

    def find(self, cell: RunRecord | CellSettings | ScoredCell) -> RunRecord | None:
        """The record stored under the name of `cell`; None where there is none, or none that `scan` would take."""
        return self.scan(glob.escape(self.path(cell).name)).records.get(cell.identity)

    def failure(self, cell: RunRecord | CellSettings) -> Path:
        """Where the record of the last run of `cell` lies if that failed and the cell has one that came to its end."""
        return self.folder / "unfinished" / f"{cell.identity}.failed.json"

    def failures(self, identity: str = "*") -> dict[str, RunRecord]:
        """These records, of all cells or of that of `identity`, by identity."""
        return self.scan(f"unfinished/{identity}.failed.json").records

    def sweep(self, finished: Iterable[CellSettings] = ()) -> None:
        """Removes what killed processes left: files half written, and the checkpoints and dead claims of `finished` cells."""
        for folder in (self.folder, self.folder / "unfinished", *self.folder.glob("logs/*")):
            sweep(folder)
        finished = list(finished)
        sweep_claims(self.folder, finished)
        for cell in finished:
            self.remove_checkpoints(cell)

    def checkpoint(self, cell: CellSettings) -> Path:
        """Where a run of `cell` keeps what it has come to, until its record is written."""
        return self.folder / "unfinished" / f"{cell.identity}.pt"

    def remove_checkpoints(self, cell: CellSettings) -> None:
        """Removes what `cell` has kept, once its record is safe; what was set aside as broken stays."""
        for file in (self.checkpoint(cell), previous_checkpoint(self.checkpoint(cell))):
            file.unlink(missing_ok=True)

    def log(self, cell: CellSettings) -> Path:
        """The folder of what a run of `cell` leaves beside its record, where that is asked for."""
        return self.folder / "logs" / self.path(cell).stem

    @uncollected()
    def scan(self, pattern: str = "*.json") -> Scan:
        """Every record in the folder whose file name matches `pattern`.

        A file that is broken, foreign or tampered with is named and left out.
        """
        scan = Scan()
        for path in sorted(self.folder.glob(pattern)):
            try:
                record = RunRecord.from_document(read_json(path))
            except (OSError, RecordError) as error:
                scan.problems.append(f"skipped {path}: {error}")
                continue
            scan.add(record, path.name)
        return scan

    def check_writable(self, cells: int) -> None:
        """Raises SettingsError where `cells` records could not be written: said before training, not after."""
        try:
            # the folder itself is made when there is something to write
            folder = next(folder for folder in (self.folder, *self.folder.parents) if os.path.lexists(folder))
            with temporary_file(folder) as path, open(path, "wb") as file:
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SettingsError([f"cannot write records to {self.folder}: {error.strerror or error}"]) from None
        free, needed = shutil.disk_usage(folder).free, cells * RECORD_BYTES
        if free < needed:
            raise SettingsError(
                [f"{self.folder}: {free / 2**20:.0f} MiB free, {cells} records may need {needed / 2**20:.0f} MiB"]
            )
