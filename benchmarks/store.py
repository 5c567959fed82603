"""Records on disk: one JSON file a cell, written whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.config import CellSettings, SettingsError
from benchmarks.names import file_name
from benchmarks.record import RecordError, RunRecord, read_json
from benchmarks.whole_files import write_whole

RECORD_BYTES = 64 * 1024
"""A generous size of one record, for the check of free space."""


@dataclass
class Scan:
    """What lies in a folder of records: readable ones by identity, and a line for each file that is not one."""

    records: dict[str, RunRecord] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Store:
    """The records of one suite under `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, record: RunRecord | CellSettings) -> Path:
        if isinstance(record, CellSettings):
            scenario, method = record.scenario_name, record.method_name
        else:
            scenario, method = record.scenario, record.method
        return self.folder / f"{file_name(scenario)}.{method}.seed{record.seed}.{record.identity[:12]}.json"

    def save(self, record: RunRecord) -> Path:
        """Writes `record` to a temporary file, to the disk, then under its name: a file that exists is whole."""
        return write_whole(self.path(record), record.to_json(), to_disk=True)

    def checkpoint(self, cell: CellSettings) -> Path:
        """Where a run of `cell` keeps what it has come to, until its record is written."""
        return self.folder / "unfinished" / f"{cell.identity}.pt"

    def log(self, cell: CellSettings) -> Path:
        """The folder of what a run of `cell` leaves beside its record, where that is asked for."""
        return self.folder / "logs" / self.path(cell).stem

    def scan(self) -> Scan:
        """Every record in the folder. A file that is broken, foreign or tampered with is named and left out."""
        scan = Scan()
        for path in sorted(self.folder.glob("*.json")):
            try:
                record = RunRecord.from_document(read_json(path))
            except (OSError, RecordError) as error:
                scan.problems.append(f"skipped {path}: {error}")
                continue
            known = scan.records.get(record.identity)
            if known is None or known.status != "done":
                scan.records[record.identity] = record
        return scan

    def check_writable(self, cells: int) -> None:
        """Raises SettingsError where `cells` records could not be written: said before training, not after."""
        try:
            write_whole(self.folder / ".probe", "x" * 4096, to_disk=True).unlink(missing_ok=True)
        except OSError as error:
            raise SettingsError([f"cannot write records to {self.folder}: {error.strerror or error}"]) from None
        free, needed = shutil.disk_usage(self.folder).free, cells * RECORD_BYTES
        if free < needed:
            raise SettingsError(
                [f"{self.folder}: {free / 2**20:.0f} MiB free, {cells} records may need {needed / 2**20:.0f} MiB"]
            )
