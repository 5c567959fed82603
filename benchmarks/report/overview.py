"""What spans suites: the guide and the page of all leaderboards, of your own runs or of the published ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.recorded import Recorded, pages_folder, recorded_suites
from benchmarks.records.results import results_of
from benchmarks.records.store import Scan
from benchmarks.report.guide import Evidence, guide
from benchmarks.report.leaderboard import name_of
from benchmarks.report.page.document import write_page
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.plots.figures import drawn


def write_guide(results: Path, published: bool = False, say: Callable[[str], object] = lambda problem: None) -> Path:
    """Writes guide.md beside the tables. say: called with a line for every record that is not believed.

    Only of suites that compare methods: a smoke test says nothing of them, and the rows of a protocol, each set up as
    its own source says, are to be compared with what was published.
    """
    home = pages_folder(results, published)
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
    home = pages_folder(results, published)
    several = recorded_suites(results, published, say, read), more or []  # read one at a time
    pages = [_page_suite(suite, home, published) for suites in several for suite in suites]
    return write_page(home, pages, "Published results" if published else "Leaderboards")


def _page_suite(suite: Recorded, home: Path, published: bool) -> PageSuite:
    """With the plots that belong to its tables: of own runs, those drawn since the tables were written."""
    name = name_of(suite.grid.suite)
    table = suite.tables / f"{name}.md"
    plots = {
        scenario: [
            (title, quote(_relative(path, home)))
            for title, _, path in drawn(suite.tables / f"{name}.plots", scenario)
            if published or not table.exists() or path.stat().st_mtime >= table.stat().st_mtime
        ]
        for scenario in suite.grid.suite.scenarios
    }
    more: dict[str, Any] = {"arguments": suite.arguments} if suite.arguments else {}
    return PageSuite.of(suite.grid, suite.scan, folder=_relative(suite.records, home), plots=plots, **more)


def _relative(path: Path, home: Path) -> str:
    """`path` as a link from a page in `home`."""
    return Path(os.path.relpath(path, home)).as_posix()
