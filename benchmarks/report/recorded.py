"""Which suites a results folder has records of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.config import SettingsError, load_suite
from benchmarks.grid import Grid, make_grid, matched_by_name
from benchmarks.provenance import traced
from benchmarks.store import Scan, Store


@dataclass(frozen=True)
class Recorded:
    """A suite that has records. `tables` is the folder of its tables, `records` that of its records."""

    grid: Grid
    scan: Scan
    tables: Path
    records: Path


def recorded_suites(results: Path, published: bool = False) -> Iterator[Recorded]:
    """The suites with records of their cells under `results`/runs, or under `results`/published, by name.

    A suite that was a file of one's own is not found here: only its name is known. Published records count by
    scenario, method and seed, so that they stay readable when settings gain fields.
    """
    if published:
        folders = {path.parent.name: path for path in sorted(results.glob("published/*/records/"))}
    else:
        folders = {path.name: path for path in sorted(results.glob("runs/*/"))}
    for name, records in folders.items():
        try:
            grid = make_grid(load_suite(name))
        except SettingsError:
            continue
        scan = Store(records).scan()
        if published:
            scan = matched_by_name(grid, scan)
        scan = traced(scan, records.parent if published else None)
        if grid.records(scan):
            yield Recorded(grid, scan, results / "published" / name if published else results / "leaderboards", records)
