"""Evidence: checked records and their tables, moved where they are committed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.records.matching import records_of, statuses
from benchmarks.records.published import PublishedStore, scan_folder
from benchmarks.records.record import RunRecord
from benchmarks.records.store import Scan
from benchmarks.report.plots import write_plots
from benchmarks.report.write import write_report
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid
from benchmarks.request.names import check_name
from benchmarks.request.tuned import Tuned
from benchmarks.request.validation import has_validation

TRIALS = "trials"
"""In the folder of a suite that was tuned: the folder of the records of its trials."""


def publish_suite(
    grid: Grid, scan: Scan, published: Path, several_commits: bool = False, partial: bool = False
) -> Path:
    """Writes the records and tables of `grid` to `published`/<suite>, whole or not at all, in place of what was there.

    Raises SettingsError for a smoke test, and unless every cell ran to its end at one clean commit, on one kind of
    hardware, and all of a scenario saw the same data. A cell that diverged did so by its settings and would again: it
    is evidence too, and the tables say so.
    several_commits: clean commits may differ, as after one method was mended (its version raised) and its cells alone
    were run anew; the tables then say how many runs come from each. partial: cells that have not run are left for
    later; the tables show how many seeds there are.
    """
    if grid.suite.kind == "smoke":
        raise SettingsError([f"not published: {grid.suite.name} is a smoke test, not a result"])
    wrong = ("failed",) if partial else ("missing", "failed")
    problems = [f"{cell.label}: {status}" for cell, status in statuses(grid, scan) if status in wrong]
    records = records_of(grid, scan)
    commits = {(r.environment.get("commit"), r.environment.get("retain", r.environment.get("commit"))) for r in records}
    for commit in sorted({str(c) for pair in commits for c in pair}):
        if commit == "None" or commit.endswith("+dirty"):
            problems.append(f"records made at {commit}: run from a clean git checkout")
    if len(commits) > 1 and not several_commits:
        problems.append(
            f"records come from {len(commits)} commits: run the suite anew at one, or, if no commit between them changed "
            "what these cells compute, publish with --several-commits"
        )
    if len({r.environment.get("hardware") for r in records if not r.scored}) > 1:
        problems.append("records come from different hardware: their times do not compare")
    problems += _several_data(records)
    problems += [
        f"{scenario}: it is evaluated on validation images; what is published is the accuracy on test images"
        for scenario in dict.fromkeys(r.scenario for r in records if has_validation(r.settings["scenario"]))
    ]
    trials = _trials(grid.suite.tuned, published / grid.suite.name / TRIALS, problems) if grid.suite.tuned else []
    if problems:
        raise SettingsError([f"not published: {p}" for p in problems])
    with _replaced(published / check_name(grid.suite.name, "suite")) as folder:
        PublishedStore(folder).save(records)
        if trials:
            PublishedStore(folder / TRIALS).save(trials)
        write_report(grid, scan, folder)
        write_plots(grid, scan, folder)
    return published / grid.suite.name


def _trials(tuned: Tuned, published: Path, problems: list[str]) -> list[RunRecord]:
    """The records of all trials, which what the suite says of its tuning rests on: where they were left, or else already
    `published`. What does not agree is added to `problems`."""
    folders = [folder for folder in (published, Path(tuned.records)) if folder.is_dir()]
    found = {record.identity[:12]: record for folder in folders for record in scan_folder(folder).records.values()}
    for choice in tuned.choices:
        missing = [cell for cell in choice.cells if cell not in found]
        if missing:
            problems.append(f"{tuned.records} lacks {len(missing)} of the trials of {choice.method}: run `tune` again")
        elif sum(found[cell].flops.training or 0 for cell in choice.cells) != choice.flops:
            problems.append(f"the trials of {choice.method} in {tuned.records} took other FLOPs than the suite says")
    used = {cell: found[cell] for choice in tuned.choices for cell in choice.cells if cell in found}
    for commit in sorted({str(record.environment.get("commit")) for record in used.values()}):
        if commit == "None" or commit.endswith("+dirty"):
            problems.append(f"trials made at {commit}: tune from a clean git checkout")
    return list(used.values())


def _several_data(records: Iterable[RunRecord]) -> list[str]:
    """A line for each scenario whose records did not all see the same data."""
    checksums: dict[str, set[str]] = {}
    for record in records:
        if record.scenario_manifest:  # a run that failed before it had its data has none
            checksums.setdefault(record.scenario, set()).add(str(record.scenario_manifest.get("data_checksum")))
    return [
        f"{scenario}: records of different data (checksums {', '.join(sorted(seen))}): run them anew on one"
        for scenario, seen in checksums.items()
        if len(seen) > 1
    ]


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Gives an empty folder beside `folder` to write to, which then takes its place whole.

    Where the writing raises, `folder` stays as it was.
    """
    new, old = (folder.with_name(f".{folder.name}.{state}") for state in ("new", "old"))
    # what one that was killed has left
    if old.exists() and not folder.exists():
        old.rename(folder)
    for left in (new, old):
        if left.exists():
            shutil.rmtree(left)
    try:
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
