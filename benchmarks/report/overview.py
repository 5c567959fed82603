"""What spans suites: the guide and the page of all leaderboards, of your own runs or of the published ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.recorded import Recorded, recorded_suites
from benchmarks.records.results import results_of
from benchmarks.records.store import Scan
from benchmarks.report.guide import Evidence, guide
from benchmarks.report.leaderboard import name_of
from benchmarks.report.page.document import write_page
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.plots.figures import drawn
from benchmarks.request.catalogue import suite_names
from benchmarks.request.grid import Grid
from benchmarks.request.suite import Suite


def write_guide(results: Path, published: bool = False, say: Callable[[str], object] = lambda problem: None) -> Path:
    """Writes guide.md beside the tables. say: called with a line for every record that is not believed.

    Only of suites that compare methods: a smoke test says nothing of them, and the rows of a protocol, each set up as
    its own source says, are to be compared with what was published.
    """
    home = _home(results, published)
    evidence = [
        Evidence(
            suite.grid.suite.name,
            _relative(suite.tables, home),
            _relative(suite.records, home),
            results_of(suite.grid, suite.scan).runs,
            suite.scan.places,
        )
        for suite in recorded_suites(results, published, say)
        if suite.grid.suite.kind == "benchmark"
    ]
    return write_whole(home / "guide.md", guide(evidence))


def write_index(
    results: Path,
    published: bool = False,
    more: list[Recorded] | None = None,
    say: Callable[[str], object] = lambda problem: None,
    read: Mapping[Path, Scan] | None = None,
) -> Path:
    """Writes index.html beside the tables: every suite with records, and `more` that are files of one's own.

    say: called with a line for every record that is not believed. read: scans at hand, by the folder of their records.
    """
    home = _home(results, published)
    suites = chain(recorded_suites(results, published, say, read), more or [])  # read one at a time
    pages = [_page_suite(suite, home, published) for suite in suites]
    return write_page(home, pages, "Published results" if published else "Leaderboards")


def _page_suite(suite: Recorded, home: Path, published: bool) -> PageSuite:
    """With the plots that belong to its tables: of own runs, those drawn since the tables were written."""
    name = name_of(suite.grid.suite)
    table = suite.tables / f"{name}.md"
    plots = {
        scenario: [
            (title, quote(_relative(path, home)))
            for title, path in drawn(suite.tables / f"{name}.plots", scenario)
            if published or not table.exists() or path.stat().st_mtime >= table.stat().st_mtime
        ]
        for scenario in suite.grid.suite.scenarios
    }
    more: dict[str, Any] = {"arguments": suite.arguments} if suite.arguments else {}
    return PageSuite.of(suite.grid, suite.scan, folder=_relative(suite.records, home), plots=plots, **more)


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
    home = _home(results, published=False)
    return home / f"{suite.name}@{view}" if view else home


def _home(results: Path, published: bool) -> Path:
    return results / ("published" if published else "leaderboards")


def _relative(path: Path, home: Path) -> str:
    """`path` as a link from a page in `home`."""
    return Path(os.path.relpath(path, home)).as_posix()
