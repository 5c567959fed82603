"""Which suites a results folder has records of, and where their records and tables lie in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.matching import matched_by_name, records_of
from benchmarks.records.provenance import traced
from benchmarks.records.published import FILE, scan_folder
from benchmarks.records.scored import with_scored
from benchmarks.records.store import Scan
from benchmarks.request.catalogue import suite_names
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid, make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.suite import Suite


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
            yield Recorded(grid, scan, pages_folder(results, published) / (name if published else ""), records)


def own_file(results: Path, suite: str, grid: Grid, scan: Scan, changes: list[str] | None) -> list[Recorded]:
    """`suite` for the page where it cannot be found by name: a file of one's own, or one changed by --set."""
    if suite in suite_names() and not changes:
        return []
    arguments = (suite, *(part for change in changes or [] for part in ("--set", change)))
    tables, records = tables_folder(results, grid.suite), results / "runs" / grid.suite.name
    return [Recorded(grid, scan, tables, records, arguments)]


def tables_folder(results: Path, suite: Suite, published: bool = False, plain: bool = True) -> Path:
    """Where tables and plots of `suite` are written.

    A selection has a folder of its own, so that neither it nor the whole suite takes the other's plots. Published
    tables are written in their place only as they are committed: the whole suite, `plain`, that is with the usual
    columns and plots; any other view of published records is the reader's.
    """
    if published and plain and not suite.selection:
        return results / "published" / suite.name
    view = "published" if published else ""
    if suite.selection:
        view += ("-" if view else "") + hashlib.sha256(suite.selection.encode()).hexdigest()[:8]
    home = pages_folder(results, published=False)
    return home / f"{suite.name}@{view}" if view else home


def pages_folder(results: Path, published: bool) -> Path:
    """Where tables and pages are: of your own runs, or of the published ones."""
    return results / ("published" if published else "leaderboards")
