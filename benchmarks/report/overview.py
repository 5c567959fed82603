"""What spans suites: the guide and the page of all leaderboards, of your own runs or of the published ones."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.config import suite_names
from benchmarks.grid import Grid
from benchmarks.report.guide import Evidence, guide
from benchmarks.report.page import PageSuite, write_page
from benchmarks.report.recorded import recorded_suites
from benchmarks.report.runs import gather
from benchmarks.store import Scan
from benchmarks.whole_files import write_whole


def write_guide(results: Path, published: bool = False) -> Path:
    """Writes guide.md beside the tables.

    Only of suites that compare methods: a smoke test says nothing of them, and the rows of a protocol, each set up as
    its own source says, are to be compared with what was published.
    """
    home = _home(results, published)
    evidence = [
        Evidence(
            suite.grid.suite.name,
            _relative(suite.tables, home),
            _relative(suite.records, home),
            gather(suite.grid, suite.scan),
        )
        for suite in recorded_suites(results, published)
        if suite.grid.suite.kind == "benchmark"
    ]
    return write_whole(home / "guide.md", guide(evidence))


def write_index(results: Path, published: bool = False, more: list[PageSuite] | None = None) -> Path:
    """Writes index.html beside the tables: every suite with records, and `more` that are files of one's own."""
    suites = [PageSuite.of(suite.grid, suite.scan) for suite in recorded_suites(results, published)]
    title = "Published results" if published else "Leaderboards"
    return write_page(_home(results, published), [*suites, *(more or [])], title)


def own_file(suite: str, grid: Grid, scan: Scan, changes: list[str] | None) -> list[PageSuite]:
    """`suite` for the page where it cannot be found by name: a file of one's own, or one changed by --set."""
    if suite in suite_names() and not changes:
        return []
    return [PageSuite.of(grid, scan, arguments=[suite, *(part for c in changes or [] for part in ("--set", c))])]


def _home(results: Path, published: bool) -> Path:
    return results / ("published" if published else "leaderboards")


def _relative(path: Path, home: Path) -> str:
    """`path` as a link from a page in `home`."""
    return Path(os.path.relpath(path, home)).as_posix()
