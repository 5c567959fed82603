"""Scored predictions of other programs among the records of a suite: which there are, where they belong, what is said of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.wording import grouped, numbers

if TYPE_CHECKING:  # which names there are is told without torch
    from benchmarks.records.record import RunRecord
    from benchmarks.records.store import Scan
    from benchmarks.request.grid import Grid

NOT_SCORED = "no predictions of this program were scored here"


def scored_names(*folders: Path) -> set[str]:
    """What the scored records in `folders` are called, of own runs or published; nothing in them is checked."""
    found: set[str] = set()
    for file in [path for folder in folders for path in (*folder.glob("*.json"), *folder.glob("records.jsonl"))]:
        try:
            content = file.read_bytes()
        except OSError:
            continue
        for text in content.splitlines() if file.suffix == ".jsonl" else [content]:
            if b'"scored"' not in text:  # nearly all
                continue
            try:
                document = json.loads(text)
                if document["scored"]:
                    found.add(str(document["method"]))
            except (ValueError, KeyError, TypeError):
                continue
    return found


def with_scored(grid: Grid, scan: Scan, by_name: bool = False) -> Grid:
    """`grid` with a place for each scenario and seed of the programs whose predictions `scan` has scored records of.

    A program counts in a scenario where one of its records is of these very settings; by_name: of that name, whatever
    the settings, as published records count. One called as a method of the suite is left out: `score` takes no such name.
    """
    from benchmarks.request.scored import ScoredCell

    suite = grid.suite
    records = [record for record in scan.records.values() if record.scored]
    names = sorted({r.method for r in records if any(fnmatchcase(r.method, p) for p in suite.scored)})
    names = [name for name in names if name not in suite.methods]
    if not names:
        return grid
    cells, impossible, settings = [], dict(grid.impossible), _scenario_settings(grid)
    said = {(record.scenario, record.method) for record in records}
    for name in names:
        for scenario in suite.scenarios:
            own = [ScoredCell(scenario, name, settings[scenario], seed) for seed in suite.seeds_of(scenario)]
            if (scenario, name) in said if by_name else any(cell.identity in scan.records for cell in own):
                cells += own
            else:
                impossible[scenario, name] = NOT_SCORED
    there = {cell.method_name for cell in cells}
    impossible = {pair: why for pair, why in impossible.items() if pair in grid.impossible or pair[1] in there}
    return replace(grid, impossible=impossible, scored=tuple(cells))


def _scenario_settings(grid: Grid) -> dict[str, dict[str, Any]]:
    """The settings of each scenario as records have them."""
    first = {cell.scenario_name: cell for cell in reversed(grid.cells)}
    found = {name: cell.identity_settings()["scenario"] for name, cell in first.items()}
    if missing := grid.suite.scenarios.keys() - found.keys():  # none of the suite's methods was asked for, or can run
        from benchmarks.request.resolve import streams_of
        from benchmarks.request.suite import scenario_settings

        streams = streams_of(grid.suite)
        found |= {name: scenario_settings(streams[name]) for name in missing}
    return found


def scored_text(records: Sequence[RunRecord]) -> str:
    """A sentence for the note of a row: from what program its predictions came; empty where nothing was scored."""
    said = {numbers([record.seed], "seed"): _source(record) for record in records if record.scored}
    return f"predictions of another program, scored here: {grouped(said)}" if said else ""


def _source(record: RunRecord) -> str:
    assert record.scored is not None
    versions = record.environment.get("versions", {})
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return ", ".join(filter(None, [record.scored.provenance, listed])) or "its user did not say which"
