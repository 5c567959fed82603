"""Means over seeds, and comparisons between methods paired by seed.

Two methods with the same seed see the same class order, initial weights and batches, so their difference is
taken seed by seed: what the seed does to both drops out. With the usual five seeds the paired t test is the
only one of the common tests that can tell a real difference from noise: the smallest p value of Wilcoxon's
signed-rank test at n = 5 is 0.0625, and a bootstrap interval meant to hold 95% holds about 85% (74% at n = 3,
91% at n = 10; normal differences, 1,000 simulations). The bootstrap interval is reported beside the t
interval; claims rest on the latter.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Direction = Literal["higher", "lower"]
BySeed = Mapping[Hashable, float]

# Scores are ratios of counts below 1e9: differences under this are rounding, not measurement.
_ROUNDING = 1e-12
_BOOTSTRAP_RESAMPLES = 9_999


@dataclass(frozen=True)
class Summary:
    """Mean and spread of one score over n seeds, in the score's unit.

    half_width: the confidence interval of the mean is mean ± half_width. std: sample standard deviation, n-1
    in the denominator. Both are NaN for n = 1: one seed shows no spread.
    """

    mean: float
    half_width: float
    n: int
    std: float


def summarise(values: Sequence[float], level: float = 0.95) -> Summary:
    """Mean, Student t interval and standard deviation of `values`, one a seed.

    Nothing is left out: one NaN makes mean and spread NaN. No values give NaN with n = 0. A spread that is only
    rounding is 0.
    """
    # np.mean and np.std to the last bit, in a quarter of their time: a page asks this of thousands of short lists
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    mean = float(np.add.reduce(sample)) / n if n else math.nan
    if n < 2:
        return Summary(mean, math.nan, n, math.nan)
    deviations = sample - mean
    std = math.sqrt(float(np.add.reduce(deviations * deviations)) / (n - 1))
    summary = Summary(mean, math.nan, n, 0.0 if std < _ROUNDING * max(1.0, abs(mean)) else std)
    return replace(summary, half_width=half_width(summary, level))


def half_width(summary: Summary, level: float = 0.95) -> float:
    """Of the Student t interval of the mean at another level than the summary's own. NaN for n = 1."""
    n = summary.n
    return math.nan if n < 2 else t_quantile((1 + level) / 2, n - 1) * summary.std / math.sqrt(n)


def p_above(summary: Summary, null: float = 0.0) -> float:
    """The one-sided p value of the t test that the mean is `null` or less: small where it is clearly above.

    Without any spread it is the test's limit, 0 or 1. Raises ValueError for n = 1.
    """
    if summary.n < 2:
        raise ValueError(f"{summary.n} seeds show no spread: at least 2 are needed")
    excess = summary.mean - null
    if summary.std == 0:
        return 0.0 if excess > _ROUNDING else 1.0
    return float(_upper_tail(excess / (summary.std / math.sqrt(summary.n)), summary.n))


def summarise_each(values: Array, level: float = 0.95) -> tuple[Array, Array]:
    """`summarise` of every column at once: means and half widths, [...], of `values`, [n, ...], one row a seed.

    NaN where any seed has NaN; half widths are NaN for n = 1.
    """
    n = len(values)
    means = values.mean(axis=0)
    if n < 2:
        return means, np.full(means.shape, np.nan)
    return means, t_quantile((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / math.sqrt(n)


@dataclass(frozen=True)
class PairedDifference:
    """a - b over the n seeds both have.

    t_interval and bootstrap_interval: (low, high) around `mean` at `level`; p_value: two-sided paired t test
    of no difference. All NaN for n = 1. unpaired: seeds only one of the two has, left out.
    """

    mean: float
    std: float
    n: int
    t_interval: tuple[float, float]
    bootstrap_interval: tuple[float, float]
    p_value: float
    level: float
    unpaired: tuple[Hashable, ...]


def paired_difference(a: BySeed, b: BySeed, level: float = 0.95, bootstrap_seed: int = 0) -> PairedDifference:
    """The difference a - b of two methods' scores, each given as {seed: value}, paired by seed.

    p value: paired t test (see the module's text for why not Wilcoxon). Where every seed shows the same
    difference there is no variance to estimate: p is 1 if that difference is 0 and, as the t test's limit, 0
    if it is not.
    bootstrap: percentile interval of the mean difference, seeds drawn with replacement, by a generator seeded
    with `bootstrap_seed`, so a table is the same each time. A NaN among the values makes everything but n
    NaN.
    Raises ValueError if no seed is shared.
    """
    differences = _differences(a, b)
    summary = summarise(list(differences), level)
    return PairedDifference(
        mean=summary.mean,
        std=summary.std,
        n=summary.n,
        t_interval=(summary.mean - summary.half_width, summary.mean + summary.half_width),
        bootstrap_interval=_bootstrap_interval(differences, level, bootstrap_seed),
        p_value=_paired_t_test(differences),
        level=level,
        unpaired=tuple(seed for seed in [*a, *b] if seed not in a or seed not in b),
    )


@dataclass(frozen=True)
class PairedTest:
    """The mean of a - b over the seeds both have, and the p value of the paired t test."""

    mean: float
    p_value: float


def paired_test(a: BySeed, b: BySeed) -> PairedTest:
    """What `paired_difference` says of mean and p value, without its intervals. Raises ValueError if no seed is shared."""
    differences = _differences(a, b)
    return PairedTest(float(np.mean(differences)), _paired_t_test(differences))


@dataclass(frozen=True)
class Estimate:
    """A mean of n runs and its standard error, e.g. from print. A standard error of 0: the mean is taken as exact."""

    mean: float
    standard_error: float
    n: int


def standard_error(spread: float, kind: Literal["std", "sem"], n: int) -> float:
    """The standard error of a mean over n runs that is printed with this spread: "std", the standard deviation
    of the runs (n-1 in the denominator), or "sem", the standard error itself. Raises ValueError for another kind."""
    if kind not in ("std", "sem"):
        raise ValueError(f"spread kind is {kind!r}: give 'std' or 'sem'")
    return spread / math.sqrt(n) if kind == "std" else spread


@dataclass(frozen=True)
class Difference:
    """a - b of two independent means: the confidence interval is mean ± half_width, by t with df degrees of freedom."""

    mean: float
    half_width: float
    df: float


def welch_difference(a: Estimate, b: Estimate, level: float = 0.95) -> Difference:
    """The difference of two independent means with unequal variances (Welch 1947).

    Half width t * sqrt(se_a² + se_b²), degrees of freedom (se_a² + se_b²)² / (se_a⁴/(n_a-1) + se_b⁴/(n_b-1))
    (Welch-Satterthwaite). An exact mean adds nothing to either. With two exact means the half width is 0 and df NaN.
    Raises ValueError for a mean of a single run whose standard error is not 0: it has none to be known.
    """
    for estimate in (a, b):
        if estimate.standard_error > 0 and estimate.n < 2:
            raise ValueError(f"a standard error of {estimate.standard_error:g} from {estimate.n} run: give at least 2")
    parts = [(e.standard_error**2, e.n - 1) for e in (a, b) if e.standard_error > 0]
    variance = sum(v for v, _ in parts)
    if not parts:
        return Difference(a.mean - b.mean, 0.0, math.nan)
    df = variance**2 / sum(v**2 / freedom for v, freedom in parts)
    quantile = float(_stats().t.ppf((1 + level) / 2, df))
    return Difference(a.mean - b.mean, quantile * math.sqrt(variance), df)


def probability_of_improvement(a: BySeed, b: BySeed, direction: Direction = "higher") -> float:
    """The share of shared seeds on which a is better than b, equal scores counting half: 0.5 is no difference.

    As in Agarwal et al. 2021, but over pairs with the same seed instead of all pairs of runs. NaN if any
    value is.
    Raises ValueError if no seed is shared.
    """
    gain = _differences(a, b) * _sign(direction)
    return float(np.mean(np.where(np.isnan(gain), np.nan, (np.sign(gain) + 1) / 2)))


def holm(p_values: Sequence[float]) -> Array:
    """p values adjusted for their number by Holm's step-down procedure (Holm 1979), in the given order.

    Rejecting where the adjusted value is at most alpha keeps the chance of any false rejection at most alpha.
    NaN (no test was possible) stays NaN and does not count as a test.
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def average_ranks(table: Mapping[str, Mapping[Hashable, float]], direction: Direction = "higher") -> dict[str, float]:
    """The mean rank of each method over blocks (scenarios, or scenarios × seeds). 1 is best; ties share a rank.

    table: {method: {block: score}}. Raises ValueError, naming method and block, where a score is missing or
    NaN: a rank among fewer methods cannot be averaged with the others.
    """
    methods = list(table)
    blocks = list(dict.fromkeys(block for scores in table.values() for block in scores))
    if not blocks:
        raise ValueError("no scores to rank")
    for method in methods:
        for block in blocks:
            if math.isnan(table[method].get(block, math.nan)):
                raise ValueError(f"{method} has no score on {block}: rank the methods on blocks all of them have")
    scores = np.array([[table[method][block] for block in blocks] for method in methods])
    scores = np.round(-_sign(direction) * scores, 12)
    smaller, equal = (compare(scores[None], scores[:, None]).sum(axis=1) for compare in (np.less, np.equal))
    ranks = smaller + (equal + 1) / 2
    return dict(zip(methods, (float(rank) for rank in ranks.mean(axis=1)), strict=True))


def critical_difference(n_methods: int, n_blocks: int, alpha: float = 0.05) -> float:
    """How far two average ranks must lie apart to differ at level alpha, all pairs compared (Nemenyi's test).

    q sqrt(k (k + 1) / (6 N)) for k methods on N blocks, q the studentized range over sqrt(2) (Demšar 2006,
    section 3.2.2). Raises ValueError below two methods or one block.
    """
    if n_methods < 2 or n_blocks < 1:
        raise ValueError(f"{n_methods} methods on {n_blocks} blocks: nothing to compare")
    q = _range_quantile(1 - alpha, n_methods) / math.sqrt(2)
    return q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks))


def _range_quantile(probability: float, k: int) -> float:
    """Quantile of the range of k standard normal numbers: what scipy.stats.studentized_range gives for infinite degrees
    of freedom, to ten digits. That module takes a second to import.

    The range is at most q with probability k ∫ φ(z) (Φ(z + q) - Φ(z))^(k-1) dz, z being the least of them.
    """
    from scipy.special import ndtr

    z, step = np.linspace(-9, 9, 1801, retstep=True)  # the trapezoid rule has no error to see in what ends so flat
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    low, high = 0.0, 20.0
    for _ in range(60):
        q = (low + high) / 2
        below = k * step * float(np.sum(density * (ndtr(z + q) - ndtr(z)) ** (k - 1)))
        low, high = (q, high) if below < probability else (low, q)
    return high


def best_method(values_by_method: Mapping[str, BySeed], direction: Direction = "higher") -> str | None:
    """The method with the best mean; of equal ones the first listed. A method with a NaN or without values
    cannot be best; None if no method can."""
    means = {method: summarise(list(values.values())).mean for method, values in values_by_method.items()}
    able = [method for method in means if not math.isnan(means[method])]
    return max(able, key=lambda method: round(_sign(direction) * means[method], 12), default=None)


def p_values_against(best: str, values_by_method: Mapping[str, BySeed]) -> dict[str, float]:
    """Adjusted p values of all that `values_by_method` ({method: {seed: score}}) can test against `best`, one of them.

    Each other method is compared with `best` by the paired t test over the seeds both have; all these tests are one
    family, corrected for their number (Holm). A method that shares fewer than two seeds with the best, or has a NaN,
    cannot be tested: it is left out and does not count.

    Where the best is chosen by the same numbers, telling equals apart is a little likelier than alpha: with ten equal
    methods and five seeds some method is told apart from the best, at 5%, in 11% of the tables (1,000 simulations).
    """
    methods = list(values_by_method)
    pairs = [(methods.index(best), k) for k, method in enumerate(methods) if method != best]
    tests = paired_p_values(list(values_by_method.values()), pairs).tolist()
    p_values = {methods[k]: p for (_, k), p in zip(pairs, tests, strict=True) if not math.isnan(p)}
    return dict(zip(p_values, holm(list(p_values.values())).tolist(), strict=True))


def paired_p_values(values: Sequence[BySeed], pairs: Sequence[tuple[int, int]]) -> Array:
    """The p value of the paired t test between values[a] and values[b] for each (a, b) of `pairs`, over the seeds that
    both have, all at once. NaN where there is no test: fewer than two such seeds, or a NaN at one of them."""
    seeds = list(dict.fromkeys(seed for by_seed in values for seed in by_seed))
    p = np.full(len(pairs), np.nan)
    if not pairs or len(seeds) < 2:
        return p
    a, b = np.array(pairs).T
    has = np.array([[seed in by_seed for seed in seeds] for by_seed in values])
    table = np.array([[by_seed.get(seed, np.nan) for seed in seeds] for by_seed in values], dtype=float)
    shared, differences = has[a] & has[b], table[a] - table[b]
    tested = (shared.sum(axis=1) > 1) & ~(np.isnan(differences) & shared).any(axis=1)
    for pattern in np.unique(shared[tested], axis=0):
        some = tested & (shared == pattern).all(axis=1)
        p[some] = paired_t_tests(differences[some][:, pattern])
    return p


def _differences(a: BySeed, b: BySeed) -> Array:
    """a - b on the seeds both have, in a's order, with differences that are only rounding set to 0."""
    shared = [seed for seed in a if seed in b]
    if not shared:
        raise ValueError(f"no shared seed: {list(a)} on one side, {list(b)} on the other")
    differences = np.array([a[seed] - b[seed] for seed in shared], dtype=float)
    differences[np.abs(differences) < _ROUNDING] = 0.0
    return differences


def _paired_t_test(differences: Array) -> float:
    if len(differences) < 2 or np.isnan(differences).any():
        return math.nan
    return float(paired_t_tests(differences[None])[0])


def paired_t_tests(differences: Array) -> Array:
    """Two-sided p values, [m], of m paired t tests over the same n >= 2 seeds: finite `differences`, [m, n].

    Where every seed shows the same difference p is 1 if that is 0, else 0, see `paired_difference`.
    """
    n = differences.shape[1]
    differences = np.where(np.abs(differences) < _ROUNDING, 0.0, differences)
    constant = np.ptp(differences, axis=1) < _ROUNDING
    error = np.sqrt(differences.var(axis=1, ddof=1) / n)
    t = differences.mean(axis=1) / np.where(constant, 1.0, error)
    return np.where(constant, np.where(differences[:, 0] == 0, 1.0, 0.0), 2 * _upper_tail(np.abs(t), n))


def _bootstrap_interval(differences: Array, level: float, seed: int) -> tuple[float, float]:
    if len(differences) < 2 or np.isnan(differences).any():
        return (math.nan, math.nan)
    means = differences[resamples(len(differences), seed)].mean(axis=1)
    low, high = np.percentile(means, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


@cache
def resamples(n: int, seed: int) -> NDArray[np.int64]:
    """Which of n seeds each resample draws, [resamples, n]: what scipy.stats.bootstrap draws."""
    return np.random.default_rng(seed).integers(0, n, size=(_BOOTSTRAP_RESAMPLES, n))


def _sign(direction: Direction) -> int:
    if direction not in ("higher", "lower"):
        raise ValueError(f"direction is {direction!r}: give 'higher' or 'lower'")
    return 1 if direction == "higher" else -1


def _upper_tail(t: Array | float, n: int) -> Array:
    """How likely Student's t with n - 1 degrees of freedom is above `t`."""
    # scipy.stats.ttest_1samp without its handling of arguments, which takes a hundred times as long as the test.
    from scipy.special import stdtr

    return np.asarray(stdtr(n - 1, -np.asarray(t)))


@cache
def t_quantile(probability: float, df: float) -> float:
    """What Student's t with df degrees of freedom is below with this probability."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def _stats() -> ModuleType:
    # Half a second or more: workers that record matrices and never compare methods do without.
    from scipy import stats

    return stats
