"""The records of a published suite: one file, a record a line, to be committed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.record import LARGEST_FILE, RecordError, RunRecord
from benchmarks.records.store import Scan, Store, uncollected

FILE = "records.jsonl"
"""In the folder of a published suite. Plain text, so that a diff shows which records have changed."""


class PublishedStore:
    """The records of the suite published in `folder`."""

    def __init__(self, folder: Path):
        self.file = folder / FILE

    def save(self, records: Iterable[RunRecord]) -> Path:
        """Writes `records` in place of all that were there: the same bytes in whatever order they are given."""
        ordered = sorted(records, key=lambda r: (r.scenario, r.method, r.seed, r.identity))
        return write_whole(self.file, "".join(map(_line, ordered)), to_disk=True)

    @uncollected()
    def scan(self) -> Scan:
        """Every record in the file; none where there is no file.

        A line that is broken, foreign or tampered with is named and left out.
        """
        scan = Scan()
        try:
            with open(self.file, "rb") as file:
                # in pieces, so that a file without line ends is not read whole
                for number, line in enumerate(iter(lambda: file.readline(LARGEST_FILE), b""), 1):
                    try:
                        record = RunRecord.from_json(line)
                        if record.identity in scan.records:
                            raise RecordError(f"it is of the same cell as {scan.places[record.identity]}")
                    except RecordError as error:
                        scan.problems.append(f"skipped {self.file}:{number}: {error}")
                        continue
                    scan.add(record, f"{FILE}#L{number}")
        except FileNotFoundError:
            pass
        except OSError as error:
            scan.problems.append(f"skipped {self.file}: {error}")
        return scan


def scan_folder(folder: Path) -> Scan:
    """The records in `folder`, of a published suite or of one's own runs."""
    return PublishedStore(folder).scan() if (folder / FILE).exists() else Store(folder).scan()


def _line(record: RunRecord) -> str:
    document = record.document()
    return json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n"
