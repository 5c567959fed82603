"""Which records belong to which cells of a grid, and where each cell stands."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.records.store import Scan
from benchmarks.request import declarations
from benchmarks.request.grid import Grid
from benchmarks.request.identity import relevant
from benchmarks.request.scored import ScoredCell
from benchmarks.request.suite import CellSettings
from benchmarks.request.validation import has_validation

MOST_LINES = 5
"""As many ways of having other settings are told apart."""


def distinct(cells: Iterable[CellSettings]) -> list[CellSettings]:
    """`cells` without those that have the settings of an earlier one: rows of other names, but one run and one record."""
    first: dict[str, CellSettings] = {}
    for cell in cells:
        first.setdefault(cell.identity, cell)
    return list(first.values())


def unfinished(grid: Grid, scan: Scan) -> list[CellSettings]:
    """Cells without a whole, successful record: never run, or to be tried again."""
    return [c for c in grid.cells if _status(c, scan) not in ("done", "diverged")]


def records_of(grid: Grid, scan: Scan) -> list[RunRecord]:
    """The records of this grid's cells under the names that this suite gives them."""
    found = []
    for cell in grid.places:
        record = scan.records.get(cell.identity)
        if record is not None:
            if (record.scenario, record.method) != (cell.scenario_name, cell.method_name):
                record = record.model_copy(update={"scenario": cell.scenario_name, "method": cell.method_name})
            found.append(record)
    return found


def begun_seeds(grid: Grid, scan: Scan) -> dict[str, dict[int, tuple[int, int]]]:
    """Of each scenario the seeds that not all methods have a record of: how many have, and how many there are. None
    where no seed is whole, as there is nothing else to show."""
    recorded: dict[str, dict[int, list[bool]]] = {}
    for cell in grid.places:
        seeds = recorded.setdefault(cell.scenario_name, {})
        seeds.setdefault(cell.seed, []).append(cell.identity in scan.records)
    return {
        scenario: {seed: (sum(own), len(own)) for seed, own in seeds.items() if any(own) and not all(own)}
        for scenario, seeds in recorded.items()
        if any(all(own) for own in seeds.values())
    }


def statuses(grid: Grid, scan: Scan) -> list[tuple[CellSettings | ScoredCell, str]]:
    return [(cell, _status(cell, scan)) for cell in grid.places]


def counts(grid: Grid, scan: Scan) -> dict[str, int]:
    """How many cells are done, missing, failed and diverged."""
    found = [status for _, status in statuses(grid, scan)]
    return {kind: found.count(kind) for kind in ("done", "missing", "failed", "diverged")}


def other_settings(grid: Grid, scan: Scan) -> list[str]:
    """A line for each way in which records of cells that have none differ from them, with the number of records."""
    missing = {(c.scenario_name, c.method_name, c.seed): c for c in grid.cells if c.identity not in scan.records}
    found = [(missing.get((r.scenario, r.method, r.seed)), r) for r in scan.records.values()]
    return ways((cell, record) for cell, record in found if cell is not None)


def ways(pairs: Iterable[tuple[CellSettings, RunRecord]]) -> list[str]:
    """A line for each way in which these records differ from the settings of their cells, with the number of records."""
    found: Counter[str] = Counter()
    for cell, record in pairs:
        said = ", ".join(differences(record.settings, cell.identity_settings()))
        found[said.replace("method.settings.", f"methods.{cell.method_name}.")] += 1  # as --set has it
    most = found.most_common(MOST_LINES)
    lines = [f"{n} record{'s' if n > 1 else ''} with other settings: {said}" for said, n in most]
    rest = found.total() - sum(n for _, n in most)
    return lines + ([f"{rest} more records, with still others"] if rest else [])


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """ "training.epochs 1 instead of 4" for every key of resolved settings whose value differs; the seed is none."""
    a, b = (_flat({k: v for k, v in relevant(settings).items() if k != "seed"}) for settings in (theirs, ours))
    return [
        f"{key} {_value(a, key)} instead of {_value(b, key)}"
        for key in dict.fromkeys([*b, *a])
        if a.get(key) != b.get(key)
    ]


def lacks_only_defaults(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether resolved settings differ in nothing but that `theirs`, which are older, lack some that have their default in
    `ours`. Their identities differ all the same, unless these were `added_later` (request/identity.py)."""
    a, b = _flat(relevant(theirs)), _flat(relevant(ours))
    declared = {
        "scenario": declarations.stream(ours["scenario"]["stream"]),
        "method.settings": declarations.method(ours["method"]["name"]),
        "model": declarations.network_of(ours["model"]["backbone"]),
        "training": declarations.recipe(),
    }
    defaults = _flat({part: own.defaults for part, own in declared.items() if own is not None})
    return all(key in b and (a[key] == b[key] if key in a else b[key] == defaults.get(key, ...)) for key in {**a, **b})


def _value(settings: dict[str, Any], key: str) -> str:
    text = json.dumps(settings[key]) if key in settings else "its default"
    return text if len(text) <= 40 else f"{text[:37]}..."


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted key."""
    if not isinstance(value, dict) or not value:
        return {key: value}
    return {k: v for name, inner in value.items() for k, v in _flat(inner, f"{key}.{name}" if key else name).items()}


def matched_by_name(grid: Grid, scan: Scan) -> Scan:
    """`scan` with each record under the cell of its scenario, method and seed, whatever its identity.

    For published evidence: it stays readable when settings gain fields, and says itself with which it was made. One
    whose settings are of another method or setting than its names stand for is named and left out, and so are all but
    one of the same names: that with the settings of the cell, or else the first, stays.
    """
    names: dict[tuple[str, str, int], list[RunRecord]] = {}
    for record in scan.records.values():
        names.setdefault((record.scenario, record.method, record.seed), []).append(record)
    found = Scan(problems=list(scan.problems), places=scan.places, published=True)
    for cell in grid.places:
        alike = names.get((cell.scenario_name, cell.method_name, cell.seed), [])
        if not alike:
            continue
        record = next((r for r in alike if r.identity == cell.identity), alike[0])
        found.problems += [
            f"skipped the record of {cell.label} at {_place(scan, other)}: it has the same scenario, method and seed as "
            f"{_place(scan, record)}"
            for other in alike
            if other is not record
        ]
        theirs = (record.settings["method"]["name"], record.settings["scenario"]["setting"])
        if theirs != _method_and_setting(cell):
            found.problems.append(
                f"skipped the record of {cell.label}: it is of method {theirs[0]!r} in the {theirs[1]}-incremental setting"
            )
            continue
        if has_validation(record.settings["scenario"]):
            found.problems.append(
                f"skipped the record of {cell.label}: it is of validation images, as trials of tuning are"
            )
            continue
        found.records[cell.identity] = record
    return found


def _place(scan: Scan, record: RunRecord) -> str:
    return scan.places.get(record.identity, record.identity[:12])


def _method_and_setting(cell: CellSettings | ScoredCell) -> tuple[str, str]:
    if isinstance(cell, ScoredCell):
        return cell.method_name, cell.scenario_settings["setting"]
    settings = cell.resolved.document
    return settings["method"]["name"], settings["scenario"]["setting"]


def _status(cell: CellSettings | ScoredCell, scan: Scan) -> str:
    record = scan.records.get(cell.identity)
    return record.status if record else "missing"
