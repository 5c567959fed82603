"""Which suites a results folder has something to show of."""

from __future__ import annotations

from pathlib import Path

from benchmarks.config import SettingsError, load_suite
from benchmarks.grid import make_grid, matched_by_name
from benchmarks.report.page.suite import PageSuite
from benchmarks.store import Store


def suites_with_runs(results: Path) -> list[PageSuite]:
    """The suites with records under `results`/runs, by name. A suite that was a file of one's own is not found here:
    only its name is known, so whoever has the file adds it."""
    return _found({path.name: path for path in sorted(results.glob("runs/*/"))}, by_name=False)


def published_suites(results: Path) -> list[PageSuite]:
    """The suites with evidence under `results`/published, by name. Records count by scenario, method and seed: they
    stay readable when settings gain fields."""
    return _found({path.parent.name: path for path in sorted(results.glob("published/*/records/"))}, by_name=True)


def _found(folders: dict[str, Path], by_name: bool) -> list[PageSuite]:
    suites = []
    for name, folder in folders.items():
        try:
            grid = make_grid(load_suite(name))
        except SettingsError:
            continue
        scan = Store(folder).scan()
        if by_name:
            scan = matched_by_name(grid, scan)
        if grid.records(scan):
            suites.append(PageSuite.of(grid, scan))
    return suites
