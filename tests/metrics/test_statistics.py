import math

import numpy as np
import pytest
from scipy import stats

from metrics import (
    Estimate,
    PairedTest,
    average_ranks,
    best_method,
    critical_difference,
    holm,
    p_values_against,
    paired_difference,
    paired_t_tests,
    paired_test,
    probability_of_improvement,
    standard_error,
    summarise,
    summarise_each,
    welch_difference,
)


def by_seed(*values):
    return dict(enumerate(values))


def test_summary_by_hand():
    # Deviations ±.04, ±.02, 0: squares sum to .004, variance .001. t(0.975; 4) = 2.776445.
    summary = summarise([0.90, 0.92, 0.94, 0.96, 0.98])
    assert summary.n == 5
    assert summary.mean == pytest.approx(0.94)
    assert summary.std == pytest.approx(math.sqrt(0.001))
    assert summary.half_width == pytest.approx(2.776445 * math.sqrt(0.001 / 5), rel=1e-6)
    # t(0.95; 4) = 2.131847
    assert summarise([0.90, 0.92, 0.94, 0.96, 0.98], level=0.9).half_width == pytest.approx(
        2.131847 * math.sqrt(0.001 / 5), rel=1e-6
    )


def test_one_seed_has_no_interval():
    summary = summarise([0.5])
    assert (summary.mean, summary.n) == (0.5, 1)
    assert math.isnan(summary.half_width)
    assert math.isnan(summary.std)


def test_summary_leaves_nothing_out():
    summary = summarise([0.5, math.nan, 0.7])
    assert summary.n == 3
    assert math.isnan(summary.mean)
    assert math.isnan(summary.half_width)
    assert summarise([]).n == 0
    assert math.isnan(summarise([]).mean)


A = by_seed(0.91, 0.85, 0.94, 0.88, 0.90)
B = by_seed(0.90, 0.83, 0.91, 0.84, 0.85)  # A - B = .01, .02, .03, .04, .05


def test_paired_difference_by_hand():
    # mean .03, squared deviations sum to .001, standard error sqrt(.001 / 4 / 5); t(0.975; 4) = 2.776445
    difference = paired_difference(A, B)
    half_width = 2.776445 * math.sqrt(0.001 / 20)
    assert difference.n == 5
    assert difference.mean == pytest.approx(0.03)
    assert difference.std == pytest.approx(math.sqrt(0.001 / 4))
    assert difference.t_interval == pytest.approx((0.03 - half_width, 0.03 + half_width), rel=1e-6)
    assert difference.p_value == pytest.approx(stats.ttest_rel(list(A.values()), list(B.values())).pvalue)
    assert difference.p_value < 0.05
    # Unpaired, the same numbers are noise: what the seeds do to both methods is larger.
    assert stats.ttest_ind(list(A.values()), list(B.values())).pvalue > 0.1


def test_pairs_by_seed_not_by_position():
    shuffled = {seed: B[seed] for seed in (3, 1, 4, 0, 2)}
    assert paired_difference(A, shuffled) == paired_difference(A, B)
    turned = paired_difference(B, A)
    assert turned.mean == pytest.approx(-0.03)
    assert turned.p_value == pytest.approx(paired_difference(A, B).p_value)


def test_only_shared_seeds_count():
    difference = paired_difference({0: 0.9, 1: 0.8, 2: 0.1}, {1: 0.7, 0: 0.6, 7: 1.0})
    assert difference.n == 2
    assert difference.mean == pytest.approx(0.2)
    assert difference.unpaired == (2, 7)
    with pytest.raises(ValueError, match=r"no shared seed: \[0\] on one side, \[1\] on the other"):
        paired_difference({0: 0.9}, {1: 0.9})


def test_bootstrap_interval_of_two_seeds():
    # Two differences, 0 and .2, give resampled means 0, .1, .2 with chances 1/4, 1/2, 1/4.
    a, b = by_seed(0.5, 0.7), by_seed(0.5, 0.5)
    assert paired_difference(a, b, level=0.95).bootstrap_interval == pytest.approx((0.0, 0.2))
    assert paired_difference(a, b, level=0.40).bootstrap_interval == pytest.approx((0.1, 0.1))


def test_bootstrap_is_repeatable_and_seeded():
    first = paired_difference(A, B).bootstrap_interval
    assert first == paired_difference(A, B).bootstrap_interval
    assert 0.01 <= first[0] < 0.03 < first[1] <= 0.05
    a = by_seed(*np.random.default_rng(0).normal(size=12))
    zero = dict.fromkeys(a, 0.0)
    intervals = {paired_difference(a, zero, bootstrap_seed=seed).bootstrap_interval for seed in range(5)}
    assert len(intervals) > 1


def test_identical_scores_are_no_difference():
    difference = paired_difference(A, dict(A))
    assert (difference.mean, difference.p_value) == (0.0, 1.0)
    assert difference.t_interval == difference.bootstrap_interval == (0.0, 0.0)


def test_rounding_is_no_difference():
    # 0.1 + 0.2 is not 0.3 in floating point, by the same 5.6e-17 on every seed.
    assert paired_difference(by_seed(0.1 + 0.2, 0.1 + 0.2), by_seed(0.3, 0.3)).p_value == 1.0


def test_the_same_difference_on_every_seed_is_certain():
    difference = paired_difference(by_seed(0.75, 0.5, 1.0), by_seed(0.5, 0.25, 0.75))
    assert (difference.mean, difference.std, difference.p_value) == (0.25, 0.0, 0.0)
    assert difference.t_interval == difference.bootstrap_interval == (0.25, 0.25)


@pytest.mark.parametrize("b", [by_seed(0.4), by_seed(0.4, math.nan)])
def test_no_claim_from_one_seed_or_nan(b):
    difference = paired_difference(by_seed(0.5, 0.6), b)
    assert math.isnan(difference.p_value)
    assert all(math.isnan(end) for end in difference.t_interval + difference.bootstrap_interval)


def test_probability_of_improvement():
    a, b = by_seed(0.9, 0.8, 0.7, 0.6), by_seed(0.8, 0.8, 0.6, 0.7)
    assert probability_of_improvement(a, b) == 0.625  # better, equal, better, worse
    assert probability_of_improvement(a, b, "lower") == 0.375
    assert math.isnan(probability_of_improvement(a, by_seed(math.nan, 0.8, 0.6, 0.7)))
    with pytest.raises(ValueError, match="no shared seed"):
        probability_of_improvement(a, {9: 0.5})
    with pytest.raises(ValueError, match="direction is 'up'"):
        probability_of_improvement(a, b, "up")


def test_holm_by_hand():
    # Ascending: .005 * 4 = .02, .01 * 3 = .03, .03 * 2 = .06, .04 * 1 = .04, lifted to the .06 before it.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])
    assert len(holm([])) == 0


def test_holm_skips_what_was_not_tested():
    np.testing.assert_allclose(holm([0.02, math.nan, 0.03]), [0.04, math.nan, 0.04])


TABLE = {
    "er": {"split": 0.9, "permuted": 0.7, "rotated": 0.8},
    "ewc": {"split": 0.2, "permuted": 0.8, "rotated": 0.8},
    "finetune": {"split": 0.2, "permuted": 0.5, "rotated": 0.6},
}


def test_average_ranks_by_hand():
    # split: 1, 2.5, 2.5; permuted: 2, 1, 3; rotated: 1.5, 1.5, 3
    assert average_ranks(TABLE) == pytest.approx({"er": 4.5 / 3, "ewc": 5 / 3, "finetune": 8.5 / 3})
    # lower is better: split 3, 1.5, 1.5; permuted 2, 3, 1; rotated 2.5, 2.5, 1
    assert average_ranks(TABLE, "lower") == pytest.approx({"er": 7.5 / 3, "ewc": 7 / 3, "finetune": 3.5 / 3})


def test_scores_equal_but_for_rounding_share_a_rank():
    assert average_ranks({"a": {"s": 0.1 + 0.2}, "b": {"s": 0.3}}) == {"a": 1.5, "b": 1.5}


@pytest.mark.parametrize("gap", [{"split": 0.9}, {"split": 0.9, "permuted": math.nan, "rotated": 0.1}])
def test_ranks_need_every_score(gap):
    with pytest.raises(ValueError, match="lwf has no score on permuted"):
        average_ranks({**TABLE, "lwf": gap})


def test_nothing_to_rank():
    with pytest.raises(ValueError, match="no scores to rank"):
        average_ranks({"er": {}})


def test_critical_difference_of_demsar():
    # Demšar 2006, table 5: q at 0.05.
    for k, q in [(2, 1.960), (3, 2.343), (4, 2.569), (10, 3.164)]:
        assert critical_difference(k, 30) == pytest.approx(q * math.sqrt(k * (k + 1) / 180), abs=1e-3)
    # His example: 4 classifiers on 14 data sets, 1.25 at 0.05 and 1.12 at 0.10.
    assert round(critical_difference(4, 14), 2) == 1.25
    assert round(critical_difference(4, 14, alpha=0.10), 2) == 1.12
    with pytest.raises(ValueError, match="nothing to compare"):
        critical_difference(1, 14)


METHODS = {
    "joint": by_seed(0.97, 0.95, 0.98, 0.96, 0.97),
    "er": by_seed(0.965, 0.955, 0.975, 0.965, 0.965),  # .005 above or below, from seed to seed
    "ewc": by_seed(0.62, 0.60, 0.63, 0.60, 0.61),  # far below
}


def tied(values, direction="higher"):
    """The others that cannot be told from the best."""
    best = best_method(values, direction)
    return {m for m, p in p_values_against(best, values).items() if p > 0.05} if best else set()


def test_noise_reads_as_a_tie():
    assert best_method(METHODS) == "joint"
    assert tied(METHODS) == {"er"}
    assert best_method(METHODS, "lower") == "ewc"
    assert tied(METHODS, "lower") == set()


def test_identical_methods_are_tied_and_the_first_is_best():
    twins = {"b": by_seed(0.5, 0.6), "a": by_seed(0.5, 0.6), "c": by_seed(0.1, 0.3)}
    assert best_method(twins) == "b"
    assert tied(twins) >= {"a"}
    assert "b" not in tied(twins)
    # The same values in another order: the sums differ in the last bit, the means do not.
    assert best_method({"b": by_seed(0.3, 0.2, 0.1), "a": by_seed(0.1, 0.2, 0.3)}) == "b"


def test_one_seed_makes_no_claims():
    single = {"a": {0: 0.9}, "b": {0: 0.9}, "c": {0: 0.1}}
    assert best_method(single) == "a"
    assert tied(single) == set()


def test_missing_values_make_no_claims():
    values = {
        "nan": by_seed(0.99, math.nan, 0.99),
        "best": by_seed(0.9, 0.8, 0.7),
        "other seeds": {7: 0.8, 8: 0.8},
        "one shared": {0: 0.8, 9: 0.8},
        "none": {},
    }
    assert best_method(values) == "best"
    assert tied(values) == set()
    assert best_method({"none": {}, "nan": by_seed(math.nan)}) is None
    assert tied({"none": {}}) == set()


def test_more_comparisons_need_stronger_evidence():
    best = by_seed(0.80, 0.80, 0.80, 0.80)
    worse = by_seed(0.79, 0.78, 0.795, 0.7875)
    assert paired_difference(best, worse).p_value == pytest.approx(0.032, abs=5e-4)
    assert tied({"best": best, "worse": worse}) == set()
    # Among twenty such comparisons that is no evidence: 20 * .032 > .05.
    crowd = {f"worse {i}": worse for i in range(20)}
    assert tied({"best": best, **crowd}) == set(crowd)


def test_tests_against_the_best_are_one_family():
    """By hand: the three p values p1 < p2 < p3 become 3 p1, 2 p2, p3, each no less than the one before."""
    base = [0.1, 0.2, 0.15, 0.3, 0.25]
    shifts = {"a": (0.02, 0.03, 0.02, 0.02, 0.03), "b": (0.01, 0.04, 0.02, 0, 0.03), "c": (0.01, -0.01, 0.02, 0, 0.01)}
    values = {"best": by_seed(*base)}
    values |= {m: by_seed(*(x - d for x, d in zip(base, own, strict=True))) for m, own in shifts.items()}
    raw = [paired_difference(values["best"], values[m]).p_value for m in "abc"]
    assert raw == sorted(raw)
    expected = {"a": 3 * raw[0], "b": max(3 * raw[0], 2 * raw[1]), "c": raw[2]}
    assert p_values_against("best", values) == pytest.approx(expected)
    assert p_values_against("best", values | {"one seed": {0: 0.1}}) == pytest.approx(expected), "counts as no test"


@pytest.mark.parametrize("n", [1, 3])
def test_columns_are_summarised_as_single_values_are(n):
    values = np.random.default_rng(0).random((n, 2, 3))
    values[0, 1, 2] = math.nan
    means, halves = summarise_each(values)
    for index in np.ndindex(2, 3):
        one = summarise([row[index] for row in values])
        assert (means[index], halves[index]) == pytest.approx((one.mean, one.half_width), nan_ok=True)


def test_equal_methods_are_rarely_told_apart():
    rng = np.random.default_rng(0)
    told_apart = 0
    for _ in range(300):
        seeds_effect = rng.normal(0, 0.05, size=5)
        values = {m: by_seed(*(0.9 + seeds_effect + rng.normal(0, 0.01, size=5))) for m in "abc"}
        told_apart += len(tied(values)) < 2
    assert told_apart / 300 < 0.09  # 5% expected; three standard errors are 3.8%


def test_welch_agrees_with_scipy():
    a, b = [90.1, 91.4, 89.7, 92.2, 90.9], [88.0, 91.9, 85.3, 90.2, 87.1, 89.6, 93.0]
    estimates = [Estimate(np.mean(x), standard_error(np.std(x, ddof=1), "std", len(x)), len(x)) for x in (a, b)]
    ours = welch_difference(*estimates, level=0.9)
    theirs = stats.ttest_ind(a, b, equal_var=False)
    low, high = theirs.confidence_interval(0.9)
    assert ours.df == pytest.approx(theirs.df)
    assert (ours.mean - ours.half_width, ours.mean + ours.half_width) == pytest.approx((low, high))


def test_welch_with_an_exact_mean_is_the_interval_of_the_other():
    values = [90.0, 91.0, 92.0, 93.0, 94.0]
    summary = summarise(values)
    estimate = Estimate(summary.mean, standard_error(summary.std, "std", 5), 5)
    for difference in (welch_difference(estimate, Estimate(90, 0, 1)), welch_difference(Estimate(90, 0, 1), estimate)):
        assert difference.half_width == pytest.approx(summary.half_width)
        assert difference.df == pytest.approx(4)
    exact = welch_difference(Estimate(1, 0, 5), Estimate(2, 0, 5))
    assert (exact.mean, exact.half_width) == (-1, 0)
    assert math.isnan(exact.df)


def test_a_printed_standard_error_is_taken_as_it_is():
    assert standard_error(2.0, "std", 16) == 0.5
    assert standard_error(2.0, "sem", 16) == 2.0
    with pytest.raises(ValueError, match="'std' or 'sem'"):
        standard_error(2.0, "ci", 16)
    with pytest.raises(ValueError, match="at least 2"):
        welch_difference(Estimate(1, 0.5, 1), Estimate(2, 0.5, 5))


def test_tests_and_resamples_are_those_of_scipy():
    values = np.random.default_rng(3).normal(0.01, 0.02, (4, 5))
    expected = stats.ttest_1samp(values, 0.0, axis=1).pvalue
    assert paired_t_tests(values) == pytest.approx(expected, rel=1e-12)
    assert paired_t_tests(np.array([[0.5, 0.5], [0.0, 0.0]])).tolist() == [0.0, 1.0]
    a, b = ({seed: float(v) for seed, v in enumerate(row)} for row in values[:2])
    whole = paired_difference(a, b)
    assert paired_test(a, b) == PairedTest(whole.mean, whole.p_value)
    interval = stats.bootstrap(
        (values[0] - values[1],), np.mean, n_resamples=9_999, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert whole.bootstrap_interval == pytest.approx((interval.low, interval.high), abs=1e-15)
