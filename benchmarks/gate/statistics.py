"""Statistics of the gate: does a challenger hold a rule, break it, or are there too few seeds to say?

Every rule is put so that larger is worse: x is the drop against the champion (paired by seed), the logarithm of a
growth, or the value itself for a limit. b is what the rule allows. With the mean of x over n seeds and its Student t
interval:

pass          the 90% interval lies within b. This is the test of non-inferiority at 5%: a challenger whose true x is
              b or worse passes one rule in at most 5% of gates. No correction for the number of rules is needed, since
              a pass takes all of them.
fail          the mean is beyond b, and it is no noise: the one-sided t test of "no drop" (of "x is b" for a limit, which
              has no champion to compare with) rejects at 5% after Holm's correction over all rules and scenarios. Of
              challengers equal to the champion at most 5% fail any rule, however noisy the scores are.
inconclusive  else. The number of further seeds is what a decision takes with 80% probability, were mean and standard
              deviation the true ones.

Why a failure tests against "no drop" and not against b: with five seeds and three rules, demanding proof that the drop
is beyond b catches 95% of the challengers that lose twice b only where the differences of the seeds have a standard
deviation under 0.4 b; this way 0.8 b will do. Replay on class-incremental Split MNIST has 0.5 b for ACC, 0.4 b for
BWT and 0.5 b for the largest forgetting, champion and challenger drawn independently. The price: a drop between 0 and
b, which is allowed, may fail by chance, rarely where it is small, in about half of the gates where it is b itself.

Looking again after more seeds is another gate. Its chance of a false failure is small, since with more seeds the mean
of equals is rarely beyond b, and tests/benchmarks/test_gate_error_rates.py measures what repeated looks add up to.

Scores are counts, and seeds whose counts coincide hide a spread that is there: `of_counts` sets a least one. Without it
a challenger whose largest forgetting, of four tasks of 90 test images, truly is a limit of 0.05 passes in 13% of gates
of two seeds and in 8% of three; with it in 4% and 5%. What remains above 5%, with more seeds too, is the skew of small
counts: with five seeds 6% there, and 10% where the limit is one or two images.

Five seeds make four degrees of freedom; rank tests and the bootstrap cannot reach 5% there (see metrics.statistics).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from metrics import Summary, half_width, holm, p_above, summarise, t_quantile

ALPHA = 0.05
POWER = 0.8
MOST_SEEDS = 1000
_ROUNDING = 1e-12

Outcome = Literal["pass", "fail", "inconclusive"]
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Question:
    """An estimate of x over at least two seeds, larger being worse; `bound` is what is allowed, `null` what no drop would
    be."""

    estimate: Summary
    bound: float
    null: float


@dataclass(frozen=True)
class Decision:
    """low, high: the two-sided 90% interval of x; p_value: corrected; more_seeds: only of an inconclusive one."""

    outcome: Outcome
    low: float
    high: float
    p_value: float
    more_seeds: int | None = None


def difference(a: BySeed, b: BySeed) -> Summary:
    """The mean of a - b over the seeds, which are the same."""
    return summarise([a[seed] - b[seed] for seed in a])


def of_counts(estimate: Summary, images: int) -> Summary:
    """`estimate` of a score with a standard deviation of at least what rounding to whole images makes, a step over the
    root of 12. images: of the smallest test set, where an image weighs most."""
    least = 1 / (math.sqrt(12) * images)
    return estimate if estimate.std >= least else replace(estimate, std=least, half_width=math.nan)


def decide(questions: Sequence[Question], alpha: float = ALPHA) -> list[Decision]:
    """A decision for each question; all of them together are one gate, over which p values are corrected."""
    # what never varies, as FLOPs do, cannot fail by chance, so it is no test among those to correct for
    varies = [q.estimate.std > 0 for q in questions]
    each = [p_above(q.estimate, q.null) for q in questions]
    adjusted = holm([p if v else math.nan for p, v in zip(each, varies)])
    p_values = [float(corrected) if v else p for p, v, corrected in zip(each, varies, adjusted)]
    return [_decide(q, p, alpha, sum(varies)) for q, p in zip(questions, p_values)]


def overall(outcomes: Sequence[Outcome]) -> Outcome:
    """One failure fails; a pass takes all."""
    if "fail" in outcomes:
        return "fail"
    return "inconclusive" if "inconclusive" in outcomes else "pass"


def _decide(question: Question, p_value: float, alpha: float, n_questions: int) -> Decision:
    e, bound = question.estimate, question.bound
    half = half_width(e, 1 - 2 * alpha)
    low, high = e.mean - half, e.mean + half
    if high <= bound + _ROUNDING:
        return Decision("pass", low, high, p_value)
    beyond = e.mean > bound + _ROUNDING
    if beyond and p_value <= alpha:
        return Decision("fail", low, high, p_value)
    return Decision("inconclusive", low, high, p_value, _more_seeds(question, alpha, n_questions))


def _more_seeds(question: Question, alpha: float, n_questions: int) -> int:
    """Further seeds until the likelier decision falls with probability POWER; MOST_SEEDS stands for "or more"."""
    e = question.estimate
    inside = e.mean <= question.bound
    distance = question.bound - e.mean if inside else e.mean - question.null
    level = alpha if inside else alpha / n_questions

    def suffice(more: int) -> bool:
        n = e.n + more
        return distance >= (t_quantile(1 - level, n - 1) + t_quantile(POWER, n - 1)) * e.std / math.sqrt(n)

    return 1 + bisect.bisect_left(range(1, MOST_SEEDS), True, key=suffice)
