"""Whether two tables put methods in the same order: Kendall's τ, with an interval from the seeds of one of them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.statistics import BySeed, resamples

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RankCorrelation:
    """τ over `n_methods`; low, high: its percentile interval over `n_seeds` drawn with replacement, NaN below two."""

    tau: float
    low: float
    high: float
    n_methods: int
    n_seeds: int


def kendall_tau(a: ArrayLike, b: ArrayLike) -> Array:
    """Kendall's τ-b of the last axes of `a` and `b`, [..., m]: pairs in the same order less pairs that swap, by all pairs
    that are tied in neither (Kendall 1945). NaN where one side is constant, or for fewer than two."""
    first, second = (np.asarray(values, dtype=float) for values in (a, b))
    i, j = np.triu_indices(first.shape[-1], 1)
    x, y = (np.sign(np.round(v[..., i] - v[..., j], 12)) for v in (first, second))
    untied = np.sqrt((x != 0).sum(-1) * (y != 0).sum(-1))
    return np.where(untied > 0, (x * y).sum(-1) / np.where(untied > 0, untied, 1.0), np.nan)


def rank_correlation(
    known: Mapping[str, float], values: Mapping[str, BySeed], level: float = 0.95, bootstrap_seed: int = 0
) -> RankCorrelation:
    """τ between `known`, a number by method, and the means of `values`, {method: {seed: value}}, over the methods in both
    and the seeds that all of these have.

    The interval draws seeds, the same for all methods, which they share class orders with; three seeds say little.
    Raises ValueError where fewer than two methods, or no seed, are shared.
    """
    methods = [method for method in known if method in values]
    seeds = shared_seeds([values[method] for method in methods])
    if len(methods) < 2 or not seeds:
        raise ValueError(f"{len(methods)} methods over {len(seeds)} shared seeds: no pair to compare")
    table = np.array([[values[method][seed] for method in methods] for seed in seeds])
    order = [known[method] for method in methods]
    tau = float(kendall_tau(order, table.mean(axis=0)))
    if len(seeds) < 2:
        return RankCorrelation(tau, math.nan, math.nan, len(methods), len(seeds))
    drawn = table[resamples(len(seeds), bootstrap_seed)].mean(axis=1)
    low, high = np.nanpercentile(kendall_tau(order, drawn), [50 * (1 - level), 50 * (1 + level)])
    return RankCorrelation(tau, float(low), float(high), len(methods), len(seeds))


def shared_seeds(values: Sequence[BySeed]) -> list[Hashable]:
    """The seeds that all have, in the order of the first."""
    return [seed for seed in values[0] if all(seed in by_seed for by_seed in values)] if values else []
