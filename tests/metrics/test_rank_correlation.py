from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from metrics.rank_correlation import kendall_tau, rank_correlation


def test_tau_by_hand():
    """Of six pairs one swaps: (5 - 1) / 6."""
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1
    assert kendall_tau([1, 2, 3], [10, 20, 21]) == 1


@pytest.mark.parametrize("ties", [False, True])
def test_tau_is_that_of_scipy(ties):
    rng = np.random.default_rng(0)
    for m in range(3, 18):
        a, b = rng.normal(size=(2, m))
        if ties:
            a, b = np.round(a), np.round(b)
        assert kendall_tau(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, nan_ok=True)


def test_tau_of_many_at_once():
    rng = np.random.default_rng(1)
    known, tables = rng.normal(size=6), rng.normal(size=(5, 6))
    assert kendall_tau(known, tables) == pytest.approx([float(kendall_tau(known, own)) for own in tables])


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1.0]])
def test_without_an_order_there_is_no_tau(values):
    assert math.isnan(kendall_tau(values, list(range(len(values)))))


def test_rounding_makes_no_order():
    assert math.isnan(kendall_tau([1, 2], [0.1 + 0.2, 0.3]))


def test_methods_and_seeds_in_common_count():
    known = {"a": 3.0, "b": 2.0, "c": 1.0, "not run": 9.0}
    values = {"a": {0: 0.9, 1: 0.8}, "b": {0: 0.5, 1: 0.6, 2: 0.99}, "c": {0: 0.55, 1: 0.4}, "not in print": {0: 1.0}}
    found = rank_correlation(known, values)
    assert (found.tau, found.n_methods, found.n_seeds) == (1.0, 3, 2)
    # of the equally likely draws (0, 0), (0, 1), (1, 0), (1, 1) the first puts c before b
    assert found.low == pytest.approx(1 / 3)
    assert found.high == 1.0


def test_one_seed_has_no_interval():
    found = rank_correlation({"a": 2, "b": 1}, {"a": {0: 0.5}, "b": {0: 0.6}})
    assert found.tau == -1
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize("values", [{"a": {0: 1.0}}, {"a": {0: 1.0}, "b": {1: 1.0}}, {}])
def test_without_a_pair_there_is_nothing_to_compare(values):
    with pytest.raises(ValueError, match="no pair"):
        rank_correlation({"a": 1, "b": 2}, values)
