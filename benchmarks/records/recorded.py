"""Which suites a results folder has records of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.matching import matched_by_name, records_of
from benchmarks.records.provenance import traced
from benchmarks.records.published import FILE, scan_folder
from benchmarks.records.scored import with_scored
from benchmarks.records.store import Scan
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid, make_grid
from benchmarks.request.load import load_suite


@dataclass(frozen=True)
class Recorded:
    """A suite that has records. `tables` is the folder of its tables, `records` that of its records. arguments: what
    `run` is given for it where that is not its name."""

    grid: Grid
    scan: Scan
    tables: Path
    records: Path
    arguments: tuple[str, ...] | None = None


def recorded_suites(
    results: Path,
    published: bool = False,
    say: Callable[[str], object] = lambda problem: None,
    read: Mapping[Path, Scan] | None = None,
) -> Iterator[Recorded]:
    """The suites with records of their cells under `results`/runs, or under `results`/published, by name.

    A suite that was a file of one's own is not found here: only its name is known. Published records count by
    scenario, method and seed, so that they stay readable when settings gain fields. say: hears of every record that is
    not believed. read: what is read already, by the folder of records: those are not read again.
    """
    if published:
        folders = {path.parent.name: path.parent for path in sorted(results.glob(f"published/*/{FILE}"))}
    else:
        folders = {path.name: path for path in sorted(results.glob("runs/*/"))}
    for name, records in folders.items():
        try:
            grid = make_grid(load_suite(name))
        except SettingsError:
            continue
        scan = (read or {}).get(records) or scan_folder(records)
        grid = with_scored(grid, scan, by_name=published)
        if published:
            scan = matched_by_name(grid, scan)
        for problem in scan.problems:
            say(problem)
        scan = traced(scan, records if published else None)
        if records_of(grid, scan):
            yield Recorded(grid, scan, results / "published" / name if published else results / "leaderboards", records)
