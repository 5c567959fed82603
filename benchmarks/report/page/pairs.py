"""Paired tests between all methods of a table, so that the page can say what ties with the best of any choice.

They are those of benchmarks.report.significance, before Holm's correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from benchmarks.report.runs import BySeed
from metrics import paired_t_tests

SURELY, NEVER = 1e-4, 0.05
"""Holm's procedure over up to 500 rivals tells apart below the first; above the second it never does, at a 5% level."""


def pair_p_values(values: Sequence[BySeed]) -> list[float | None]:
    """The p value of the paired t test for (0, 1), (0, 2), ... (1, 2), ..., to four digits.

    As metrics.paired_difference gives it, over the seeds that both have, for all pairs at once: its bootstrap would
    take a page of 3,000 cells minutes. What no number of rivals can change is 0 or 1. None where there is no test: a
    NaN, or fewer than two shared seeds.
    """
    pairs = list(combinations(range(len(values)), 2))
    seeds = list(dict.fromkeys(seed for own in values for seed in own))
    if not pairs or len(seeds) < 2:
        return [None] * len(pairs)
    table = np.array([[own.get(seed, np.nan) for seed in seeds] for own in values], dtype=float)
    table[[any(map(math.isnan, own.values())) for own in values]] = np.nan
    differences = np.array([table[a] - table[b] for a, b in pairs])
    shared = np.isfinite(differences)
    p = np.full(len(pairs), np.nan)
    for seeds_of_some in np.unique(shared, axis=0):
        if seeds_of_some.sum() > 1:
            some = (shared == seeds_of_some).all(axis=1)
            p[some] = paired_t_tests(differences[some][:, seeds_of_some])
    return [_short(own) for own in p]


def _short(p: float) -> float | None:
    if math.isnan(p):
        return None
    return 0 if p < SURELY else 1 if p > NEVER else float(f"{p:.4g}")
