"""Records on disk: one JSON file a cell, written whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from benchmarks.config import CellSettings, SettingsError, identity_of
from benchmarks.record import SCHEMA, RunRecord
from benchmarks.verified import Verification
from benchmarks.whole_files import write_whole

RECORD_BYTES = 64 * 1024
"""A generous size of one record, for the check of free space."""


@dataclass
class Scan:
    """What lies in a folder of records: readable ones by identity, and a line for each file that is not one.
    verified: of published records, what was found when some of their cells were run again."""

    records: dict[str, RunRecord] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    verified: tuple[Verification, ...] = ()


class Store:
    """The records of one suite under `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, record: RunRecord | CellSettings) -> Path:
        if isinstance(record, CellSettings):
            scenario, method = record.scenario_name, record.method_name
        else:
            scenario, method = record.scenario, record.method
        return self.folder / f"{scenario.replace('/', '.')}.{method}.seed{record.seed}.{record.identity[:12]}.json"

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
                document = json.loads(path.read_text())
                version = document.get("record_version") if isinstance(document, dict) else None
                if version != SCHEMA:
                    raise ValueError(f"not a record of version {SCHEMA} (record_version {version!r})")
                record = RunRecord.model_validate(document)
                if identity_of(record.settings) != record.identity:
                    raise ValueError("its settings do not hash to its identity: edited by hand?")
                record.matrix.matrix()
            except (OSError, ValueError, ValidationError) as error:
                reason = str(error).splitlines()[0] if not isinstance(error, ValidationError) else _first(error)
                scan.problems.append(f"skipped {path}: {reason}")
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


def _first(error: ValidationError) -> str:
    e = error.errors()[0]
    return f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}"
