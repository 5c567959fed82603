"""Which differences count: for each scenario and measure one family of paired tests, the same wherever it is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.records.columns import Measure
from benchmarks.records.results import BySeed, Runs, most_seeds
from metrics import best_method, p_values_against
from metrics.statistics import Direction

ALPHA = 0.05
Mark = Literal["", "best", "tied"]


@dataclass(frozen=True)
class Family:
    """The values of one measure in one scenario: those of every method that has any, bounds and methods with fewer
    seeds included. ranked: the methods that can be the best, all with the same seeds.

    Each method is tested against the best one, Holm-corrected over all of these tests. So a pair has one p value, in
    the leaderboard and in the comparison.
    """

    values: dict[str, BySeed]
    ranked: tuple[str, ...]

    def best(self, direction: Direction) -> str | None:
        """The ranked method with the best mean; of equal ones the first. None where no method is ranked."""
        return best_method({method: self.values[method] for method in self.ranked}, direction)

    def p_values(self, best: str) -> dict[str, float]:
        """Adjusted p value of each method that can be tested against `best`: needs two shared seeds."""
        return p_values_against(best, self.values)


def family(runs: Runs, values: Mapping[str, BySeed]) -> Family:
    """The family of `values`, {method: {seed: value}}, of the methods of `runs`. A method with a NaN is left out.

    A mean over fewer seeds does not compare: who lacks the value for some seed that others have is not ranked.
    """
    usable = {
        m: dict(by_seed) for m, by_seed in values.items() if by_seed and not any(map(math.isnan, by_seed.values()))
    }
    seeds = {method: frozenset(usable[method]) for method in runs.competitors() if method in usable}
    most = most_seeds(seeds.values())
    return Family(usable, tuple(method for method, found in seeds.items() if found == most))


def marks_of(runs: Runs, measure: Measure) -> dict[str, Mark]:
    """The best competitor, any with the same mean, and those that a paired test cannot tell from it; nothing from
    a single seed."""
    tests = family(runs, runs.values(measure.id))
    best = tests.best(measure.direction)
    if best is None or len(tests.ranked) < 2 or len(tests.values[best]) < 2:
        return {}
    p_values = tests.p_values(best)
    marks: dict[str, Mark] = {m: "tied" for m in tests.ranked if p_values.get(m, 0.0) > ALPHA}
    means = {method: round(runs.summaries(measure.id)[method].mean, 12) for method in tests.ranked}
    return marks | {method: "best" for method, mean in means.items() if mean == means[best]}
