"""What spans suites: the guide, from your own runs or from the published ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.config import SettingsError, load_suite, suite_names
from benchmarks.grid import Grid, make_grid, matched_by_name
from benchmarks.report.guide import Evidence, guide
from benchmarks.report.runs import gather
from benchmarks.store import Scan, Store


@dataclass(frozen=True)
class Recorded:
    """A suite that has records. `tables` is the folder of its tables, `records` that of its records."""

    grid: Grid
    scan: Scan
    tables: Path
    records: Path


def recorded_suites(results: Path, published: bool = False) -> Iterator[Recorded]:
    """The suites with records under `results`, by name; a folder whose suite is unknown is passed over."""
    for name in suite_names():
        records = results / "published" / name / "records" if published else results / "runs" / name
        if not records.is_dir():
            continue
        try:
            grid = make_grid(load_suite(name))
        except SettingsError:
            continue
        scan = Store(records).scan()
        if published:
            scan = matched_by_name(grid, scan)
        tables = results / "published" / name if published else results / "leaderboards"
        if grid.records(scan):
            yield Recorded(grid, scan, tables, records)


def write_guide(results: Path, published: bool = False) -> Path:
    """Writes guide.md beside the tables. Smoke tests say nothing of methods and are left out."""
    home = results / ("published" if published else "leaderboards")
    evidence = [
        Evidence(
            suite.grid.suite.name,
            _relative(suite.tables, home),
            _relative(suite.records, home),
            gather(suite.grid, suite.scan),
        )
        for suite in recorded_suites(results, published)
        if suite.grid.suite.kind != "smoke"
    ]
    path = home / "guide.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(guide(evidence), encoding="utf-8", newline="\n")
    return path


def _relative(path: Path, home: Path) -> str:
    """`path` as a link from a page in `home`."""
    return Path(os.path.relpath(path, home)).as_posix()
