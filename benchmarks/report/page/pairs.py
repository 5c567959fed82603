"""Paired tests between all methods of a table, so that the page can say what ties with the best of any choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from benchmarks.report.runs import BySeed
from metrics import paired_difference

SURELY, NEVER = 1e-4, 0.05
"""Holm's procedure over up to 500 rivals tells apart below the first; above the second it never does, at a 5% level."""


def pair_p_values(values: Sequence[BySeed]) -> list[float | None]:
    """The p value of the paired t test for (0, 1), (0, 2), ... (1, 2), ..., to four digits.

    As metrics.paired_difference gives it, for all pairs at once: its bootstrap would take a page of 3,000 cells
    minutes. What no number of rivals can change is 0 or 1. None where there is no test: NaN, or fewer than two
    seeds. All `values` have the same seeds.
    """
    pairs = list(combinations(range(len(values)), 2))
    if not pairs or len(values[0]) < 2:
        return [None] * len(pairs)
    seeds = list(values[0])
    table = np.array([[own[seed] for seed in seeds] for own in values], dtype=float)
    differences = np.array([table[a] - table[b] for a, b in pairs])
    return [_short(p) for p in _t_tests(differences)]


def _t_tests(differences: np.ndarray) -> np.ndarray:
    """Two-sided p values, one a row. A row without variance is left to metrics.paired_difference, which has a rule
    for it."""
    from scipy import stats

    constant = np.ptp(differences, axis=1) < 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        p = stats.ttest_1samp(np.where(constant[:, None], np.nan, differences), 0.0, axis=1).pvalue
    for k in np.flatnonzero(constant):
        row = differences[k, :2]
        p[k] = paired_difference(dict(enumerate(row)), dict.fromkeys(range(2), 0.0)).p_value
    return p


def _short(p: float) -> float | None:
    if math.isnan(p):
        return None
    return 0 if p < SURELY else 1 if p > NEVER else float(f"{p:.4g}")
