"""What may be published: checked records of one state of the code, on one machine and the same data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.matching import records_of, statuses
from benchmarks.records.published import scan_folder
from benchmarks.records.record import RunRecord
from benchmarks.records.store import Scan
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid
from benchmarks.request.tuned import Tuned
from benchmarks.request.validation import has_validation

TRIALS = "trials"
"""In the folder of a suite that was tuned: the folder of the records of its trials."""


@dataclass(frozen=True)
class Allowed:
    """What records may be published all the same.

    several_commits: clean commits may differ, as after one method was mended (its version raised) and its cells alone
    were run anew; the tables then say how many runs come from each. several_machines: hardware may differ; the tables say
    which times do not compare. partial: cells that have not run are left for later; the tables are of the seeds that every
    method has run, where there are such.
    """

    several_commits: bool = False
    several_machines: bool = False
    partial: bool = False


WHOLE = Allowed()


def publishable(
    grid: Grid, scan: Scan, published: Path, allowed: Allowed = WHOLE
) -> tuple[list[RunRecord], list[RunRecord]]:
    """The records of `grid`, and those of the trials that chose its hyperparameters, where it was tuned.

    Raises SettingsError for a smoke test, and unless every cell ran to its end at one clean commit, on one kind of
    hardware, and all of a scenario saw the same data, but for what is `allowed`. A cell that diverged did so by its
    settings and would again: it is evidence too, and the tables say so. published: the folder of what is published already.
    """
    if grid.suite.kind == "smoke":
        raise SettingsError([f"not published: {grid.suite.name} is a smoke test, not a result"])
    wrong = ("failed",) if allowed.partial else ("missing", "failed")
    problems = [f"{cell.label}: {status}" for cell, status in statuses(grid, scan) if status in wrong]
    records = records_of(grid, scan)
    commits = {(r.environment.get("commit"), r.environment.get("retain", r.environment.get("commit"))) for r in records}
    for commit in sorted({str(c) for pair in commits for c in pair}):
        if commit == "None" or commit.endswith("+dirty"):
            problems.append(f"records made at {commit}: run from a clean git checkout")
    if len(commits) > 1 and not allowed.several_commits:
        problems.append(
            f"records come from {len(commits)} commits: run the suite anew at one, or, if no commit between them changed "
            "what these cells compute, publish with --several-commits"
        )
    hardware = sorted({str(r.environment.get("hardware")) for r in records if not r.scored})
    if len(hardware) > 1 and not allowed.several_machines:
        problems.append(
            f"records come from different hardware ({'; '.join(hardware)}), so their times do not compare: run the suite on "
            "one kind, or publish with --several-machines, and the tables say so"
        )
    problems += _several_data(records)
    problems += [
        f"{scenario}: it is evaluated on validation images; what is published is the accuracy on test images"
        for scenario in dict.fromkeys(r.scenario for r in records if has_validation(r.settings["scenario"]))
    ]
    trials = _trials(grid.suite.tuned, published / grid.suite.name / TRIALS, problems) if grid.suite.tuned else []
    if problems:
        raise SettingsError([f"not published: {p}" for p in problems])
    return records, trials


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
