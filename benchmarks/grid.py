"""A suite's cells and where each stands."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.batches import batch_problem
from benchmarks.config import CellSettings, SettingsError, Suite, misfit, relevant, resolve
from benchmarks.cost.empty import empty_scenario
from benchmarks.record import RunRecord
from benchmarks.store import Scan
from methods import METHODS
from scenarios import DataNotFound, Scenario

MOST_LINES = 5
"""As many ways of having other settings are told apart."""


@dataclass(frozen=True)
class Grid:
    """cells: all that can run; impossible: (scenario, method) -> why that pair cannot."""

    suite: Suite
    cells: list[CellSettings]
    impossible: dict[tuple[str, str], str]

    def missing(self, scan: Scan) -> list[CellSettings]:
        """Cells without a whole, successful record: never run, or to be tried again."""
        return [c for c in self.cells if _status(c, scan) not in ("done", "diverged")]

    def shard(self, text: str) -> Grid:
        """The k-th of n equal parts, for `text` "k/n". Raises SettingsError where `text` is something else.

        Parts are of all cells, done or not: machines that start at other times still share none. Cells are dealt out
        in the order of their identities, which is as good as shuffled: slow methods do not meet in one part.
        """
        k, n = parse_shard(text)
        dealt = sorted(cell.identity for cell in self.cells)[k - 1 :: n]
        return replace(self, cells=[cell for cell in self.cells if cell.identity in dealt])

    def records(self, scan: Scan) -> list[RunRecord]:
        """The records of this grid's cells under the names that this suite gives them."""
        found = []
        for cell in self.cells:
            record = scan.records.get(cell.identity)
            if record is not None:
                names = {"scenario": cell.scenario_name, "method": cell.method_name}
                found.append(record.model_copy(update=names))
        return found

    def statuses(self, scan: Scan) -> list[tuple[CellSettings, str]]:
        return [(cell, _status(cell, scan)) for cell in self.cells]

    def counts(self, scan: Scan) -> dict[str, int]:
        """How many cells are done, missing, failed and diverged."""
        found = [status for _, status in self.statuses(scan)]
        return {kind: found.count(kind) for kind in ("done", "missing", "failed", "diverged")}

    def other_settings(self, scan: Scan) -> list[str]:
        """A line for each way in which records of cells that have none differ from them, with the number of records."""
        missing = {(c.scenario_name, c.method_name, c.seed): c for c in self.cells if c.identity not in scan.records}
        found: Counter[str] = Counter()
        for record in scan.records.values():
            cell = missing.get((record.scenario, record.method, record.seed))
            if cell is not None:
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


def _value(settings: dict[str, Any], key: str) -> str:
    text = json.dumps(settings[key]) if key in settings else "its default"
    return text if len(text) <= 40 else f"{text[:37]}..."


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted key."""
    if not isinstance(value, dict) or not value:
        return {key: value}
    return {k: v for name, inner in value.items() for k, v in _flat(inner, f"{key}.{name}" if key else name).items()}


def parse_shard(text: str) -> tuple[int, int]:
    """k and n of "k/n". Raises SettingsError where `text` is something else."""
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise SettingsError([f"--shard {text}: say k/n with k from 1 to n, e.g. 2/8 for the second of eight parts"])
    return int(k), int(n)


def matched_by_name(grid: Grid, scan: Scan) -> Scan:
    """`scan` with each record under the cell of its scenario, method and seed, whatever its identity.

    For published evidence: it stays readable when settings gain fields, and says itself with which it was made. One
    whose settings are of another method or setting than its names stand for is named and left out.
    """
    names = {(r.scenario, r.method, r.seed): r for r in scan.records.values()}
    found = Scan(problems=list(scan.problems))
    for cell in grid.cells:
        record = names.get((cell.scenario_name, cell.method_name, cell.seed))
        if record is None:
            continue
        theirs = (record.settings["method"]["name"], record.settings["scenario"]["setting"])
        if theirs != (cell.method.name, cell.scenario.setting):
            found.problems.append(
                f"skipped the record of {cell.label}: it is of method {theirs[0]!r} in the {theirs[1]}-incremental setting"
            )
            continue
        found.records[cell.identity] = record
    return found


def _status(cell: CellSettings, scan: Scan) -> str:
    record = scan.records.get(cell.identity)
    return record.status if record else "missing"


def make_grid(suite: Suite) -> Grid:
    """The grid of `suite`. Raises SettingsError with everything that is wrong with it."""
    cells, impossible = [], {}
    for cell in resolve(suite):
        reason = misfit(suite, cell.scenario_name, cell.method_name, cell.scenario, {"method": cell.method})
        if reason:
            impossible[cell.scenario_name, cell.method_name] = reason
        else:
            cells.append(cell)
    return Grid(suite, cells, impossible)


def rehearse(cells: list[CellSettings], data_root: str | None, with_data: bool = True) -> None:
    """Finds the data and starts each method once, so that what cannot work is said before anything is trained.

    Without data, images without content stand for it, of data sets whose sizes are known. Raises DataNotFound, or
    SettingsError with every scenario and method that cannot be built.
    """
    problems: list[str] = []
    not_found = False
    scenarios: dict[str, Scenario | None] = {}
    tried: set[tuple[str, str]] = set()
    for cell in cells:
        if cell.scenario_name not in scenarios:
            try:
                scenarios[cell.scenario_name] = (
                    cell.scenario.build(cell.seed, data_root, cell.scenario_name)
                    if with_data
                    else empty_scenario(cell.scenario, cell.seed, data_root, torch.device("cpu"))
                )
            except (DataNotFound, ValueError) as error:
                problems.append(f"scenario {cell.scenario_name}: {error}")
                scenarios[cell.scenario_name] = None
                not_found |= isinstance(error, DataNotFound)
        scenario = scenarios[cell.scenario_name]
        pair = (cell.scenario_name, cell.method_name)
        if scenario is None or pair in tried:
            continue
        tried.add(pair)
        try:
            METHODS[cell.method.name].from_settings(cell.method.settings).start(
                scenario, cell.model, cell.training, cell.seed
            )
            problem = batch_problem(cell, scenario, data_root)
        except ValueError as error:
            problem = str(error)
        if problem:
            problems.append(f"{cell.scenario_name} {cell.method_name}: {problem}")
    if not_found:
        raise DataNotFound("\n".join(problems))
    if problems:
        raise SettingsError(problems)
