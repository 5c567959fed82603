"""A suite's cells and where each stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.request.notes import read_note, write_note
from benchmarks.request.plugins import has_plugins
from benchmarks.request.scored import ScoredCell
from benchmarks.request.suite import CellSettings, Resolved, Suite

if TYPE_CHECKING:
    from benchmarks.request.resolve import Pair

OUTSIDE = ("npz:", "hf:", "weights")
"""In the settings of a suite: what is read off files of the user's, so that no note of it holds."""


@dataclass(frozen=True)
class Grid:
    """cells: all that can run, seed by seed, so that an interrupted run has whole seeds; impossible: (scenario, method) ->
    why that pair cannot; scored: the places of other programs' predictions, which only records tell of
    (records/scored.py)."""

    suite: Suite
    cells: list[CellSettings]
    impossible: dict[tuple[str, str], str]
    scored: tuple[ScoredCell, ...] = ()

    @property
    def places(self) -> list[CellSettings | ScoredCell]:
        """All that may have a record."""
        return [*self.cells, *self.scored]

    @property
    def scored_names(self) -> list[str]:
        """What the programs are called whose predictions were scored."""
        return list(dict.fromkeys(cell.method_name for cell in self.scored))


def make_grid(suite: Suite) -> Grid:
    """The grid of `suite`. Raises SettingsError with everything that is wrong with it."""
    resolved, impossible = resolved_pairs(suite)
    cells = [
        CellSettings(scenario, method, resolved[scenario, method], seed)
        for seed in sorted({seed for scenario in suite.scenarios for seed in suite.seeds_of(scenario)})
        for scenario in suite.scenarios
        if seed in suite.seeds_of(scenario)
        for method in suite.methods
        if (scenario, method) in resolved
    ]
    return Grid(suite, cells, impossible)


def resolved_pairs(suite: Suite) -> tuple[dict[Pair, Resolved], dict[Pair, str]]:
    """As `resolve`, read off a note where there is one of all pairs."""
    shared = suite.model_dump(mode="json", include={"model", "training", "overrides"})
    keys = {(s, m): _key(suite, s, m) for s in suite.scenarios for m in suite.methods}
    if has_plugins() or any(f'"{word}' in text for word in OUTSIDE for text in (json.dumps(shared), *keys.values())):
        return _resolve(suite)
    note = read_note("grid", shared) or {}
    if not all(key in note for key in keys.values()):
        resolved, impossible = _resolve(suite)
        found = {keys[pair]: own.document for pair, own in resolved.items()}
        write_note("grid", shared, note | found | {keys[pair]: why for pair, why in impossible.items()})
        return resolved, impossible
    noted = {pair: note[key] for pair, key in keys.items()}
    return (
        {pair: Resolved(own) for pair, own in noted.items() if isinstance(own, dict)},
        {pair: own for pair, own in noted.items() if isinstance(own, str)},
    )


def _key(suite: Suite, scenario: str, method: str) -> str:
    """All of a pair that decides its settings, beside what all pairs share."""
    stream = suite.scenarios[scenario]
    seeds = suite.seeds_of(scenario) if "class_order" in stream else []  # a paper may have fewer orders
    return json.dumps([scenario, stream, seeds, method, suite.methods[method]], sort_keys=True)


def _resolve(suite: Suite) -> tuple[dict[Pair, Resolved], dict[Pair, str]]:
    from benchmarks.request.resolve import resolve

    return resolve(suite)
