"""The records of one scenario, sorted for a table: who is a bound, who competes, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.records.matching import records_of
from benchmarks.records.record import RunRecord
from benchmarks.records.store import Scan
from benchmarks.report.networks import same_network
from benchmarks.request.grid import Grid
from methods import METHODS

Role = Literal["upper bound", "lower bound", "method"]
# A number by seed. Any, because a mapping's key type is invariant and `metrics` pairs by anything hashable.
BySeed = dict[Any, float]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Runs:
    """One scenario. seeds: all that the suite asks for. records: by method, then seed, whatever their status.
    settings: of each method that can run, as resolved in its records or, before there are any, in its cells.
    impossible: why the others cannot run."""

    scenario: str
    setting: str
    seeds: tuple[int, ...]
    roles: dict[str, Role]
    records: dict[str, dict[int, RunRecord]]
    settings: dict[str, Settings]
    impossible: dict[str, str]
    _joints: dict[str, RunRecord | None] = field(default_factory=dict, repr=False, compare=False)

    def done(self, method: str) -> dict[int, RunRecord]:
        """The successful records of `method` by seed: the only ones that a mean is taken over."""
        return {seed: record for seed, record in self.records[method].items() if record.status == "done"}

    def named(self, role: Role) -> list[str]:
        """The methods in this role, in the suite's order."""
        return [method for method, own in self.roles.items() if own == role]

    def joint(self, record: RunRecord) -> RunRecord | None:
        """The upper bound's record with the seed of `record`: one of the same network, where there is one."""
        if record.identity not in self._joints:
            self._joints[record.identity] = self._find_joint(record)
        return self._joints[record.identity]

    def _find_joint(self, record: RunRecord) -> RunRecord | None:
        found = [own[record.seed] for m in self.named("upper bound") if record.seed in (own := self.done(m))]
        same = [joint for joint in found if same_network(joint.settings, record.settings)]
        return next(iter([*same, *found]), None)

    def competitors(self) -> list[str]:
        """The methods that are ranked: no bounds, and all with the same seeds, as many as any method has.

        A mean over fewer seeds is a mean over other problems: a method with one lucky seed would win.
        """
        seeds = {method: frozenset(self.done(method)) for method in self.named("method")}
        fullest = max(seeds.values(), key=len, default=frozenset())
        return [method for method, own in seeds.items() if own and own == fullest]


def gather(grid: Grid, scan: Scan) -> list[Runs]:
    """One Runs a scenario, in the suite's order."""
    suite = grid.suite
    roles: dict[str, Role] = {name: _role(settings.get("method", name)) for name, settings in suite.methods.items()}
    records = records_of(grid, scan)
    runs = []
    for scenario, settings in suite.scenarios.items():
        by_method: dict[str, dict[int, RunRecord]] = {method: {} for method in suite.methods}
        for record in sorted((r for r in records if r.scenario == scenario), key=lambda r: r.seed):
            by_method[record.method][record.seed] = record
        resolved: dict[str, Settings] = {}
        for cell in grid.cells:
            if cell.scenario_name == scenario and cell.method_name not in resolved:
                resolved[cell.method_name] = cell.identity_settings()
        resolved |= {method: next(iter(own.values())).settings for method, own in by_method.items() if own}
        impossible = {method: why for (name, method), why in grid.impossible.items() if name == scenario}
        setting, seeds = settings["setting"], tuple(suite.seeds_of(scenario))
        runs.append(Runs(scenario, setting, seeds, dict(roles), by_method, resolved, impossible))
    return runs


def _role(name: str) -> Role:
    cls = METHODS[name]
    if cls.sees_past_data:
        return "upper bound"
    return "lower bound" if cls.family == "baseline" else "method"
