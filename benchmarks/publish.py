"""Evidence: checked records and their tables, moved where they are committed."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.config import SettingsError
from benchmarks.grid import Grid
from benchmarks.report import write_report
from benchmarks.report.plots import write_plots
from benchmarks.store import Scan, Store


def publish_suite(
    grid: Grid, scan: Scan, published: Path, several_commits: bool = False, partial: bool = False
) -> Path:
    """Writes the records and tables of `grid` to `published`/<suite>, in place of what was there.

    Raises SettingsError for a smoke test, and unless every cell ran to its end at one clean commit, on one kind of
    hardware. A cell that diverged did so by its settings and would again: it is evidence too, and the tables say so.
    several_commits: clean commits may differ, as after one method was mended (its version raised) and its cells alone
    were run anew; the tables then say how many runs come from each. partial: cells that have not run are left for
    later; the tables show how many seeds there are.
    """
    if grid.suite.kind == "smoke":
        raise SettingsError([f"not published: {grid.suite.name} is a smoke test, not a result"])
    wrong = ("failed",) if partial else ("missing", "failed")
    problems = [f"{cell.label}: {status}" for cell, status in grid.statuses(scan) if status in wrong]
    records = grid.records(scan)
    commits = {(r.environment.get("commit"), r.environment.get("retain", r.environment.get("commit"))) for r in records}
    for commit in sorted({str(c) for pair in commits for c in pair}):
        if commit == "None" or commit.endswith("+dirty"):
            problems.append(f"records made at {commit}: run from a clean git checkout")
    if len(commits) > 1 and not several_commits:
        problems.append(
            f"records come from {len(commits)} commits: run the suite anew at one, or, if no commit between them changed "
            "what these cells compute, publish with --several-commits"
        )
    if len({r.environment.get("hardware") for r in records}) > 1:
        problems.append("records come from different hardware: their times do not compare")
    if problems:
        raise SettingsError([f"not published: {p}" for p in problems])
    folder = published / grid.suite.name
    shutil.rmtree(folder, ignore_errors=True)
    store = Store(folder / "records")
    for record in records:
        store.save(record)
    write_report(grid, scan, folder)
    write_plots(grid, scan, folder)
    return folder
