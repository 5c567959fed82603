"""Scores against values worked out by hand. The matrices are in conftest.py."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import (
    SCORES,
    AccuracyMatrix,
    average_accuracy_curve,
    mean_accuracy_curve,
    per_task_forgetting,
    score,
)
from metrics.matrix_stack import MatrixStack, arrays_of

THREE_TASKS = {
    "acc": 2.2 / 3,  # (.7 + .6 + .9) / 3
    "acc.diaz": 0.75,  # (.9 + .6 + .8 + .7 + .6 + .9) / 6
    "la": 0.8,  # (7 + 12 + 45) / 80
    "aa": 73 / 90,  # A = 9/10, 22/30, 64/80
    "aa.mean": 7 / 9,  # .9, (.6 + .8) / 2 = .7, 2.2 / 3
    "aa.excluding_first": 23 / 30,  # (22/30 + 24/30) / 2
    "learning_accuracy": 2.6 / 3,  # (.9 + .8 + .9) / 3
    "bwt": -0.2,  # (.7 - .9) and (.6 - .8)
    "bwt.gem": -0.4 / 3,  # the same and 0, over 3
    "bwt.diaz": -0.7 / 3,  # .6 - .9, .7 - .9, .6 - .8
    "bwt.diaz.positive": 0.0,
    "bwt.diaz.remembering": 1 - 0.7 / 3,
    "bwt.continuum": -0.2 / 3,  # only .7 - .9 lies two rows below, over 3 pairs
    "bwt.continuum.positive": 0.0,
    "bwt.continuum.remembering": 1 - 0.2 / 3,
    "fwt": 0.2,  # (.5 - .4) and (.4 - .1)
    "fwt.gem": 0.4 / 3,
    "fwt.diaz": 1.1 / 3,  # .5, .2, .4
    "fwt.nobaseline": 0.45,  # .5 and .4
    "zero_shot": 0.45,
    "fwt.continuum": 1.9 / 3,  # .6, .7, .6
    "fm.mean": 0.2,  # .9 - .7 and .8 - .6
    "fm.max": 0.2,
    "fm.final": 0.2,
    "fm.clamped": 0.2,
    "fm.anytime": 0.2,
    "fm.mammoth": 0.2,
    "fm.continuum": 0.1,  # task 1 alone, .9 - .7, over 2
    "intransigence.article": 0.1,
}

FOUR_TASKS = {
    "acc": 0.7625,  # (.6 + .8 + .75 + .9) / 4
    "acc.diaz": 0.74,  # diagonal 3.35, below it 4.05, over 10
    "la": 124 / 180,  # (60 + 40 + 15 + 9) / 180
    "aa": (80 / 100 + 125 / 150 + 89 / 170 + 124 / 180) / 4,
    "aa.mean": 3.0125 / 4,  # .8, 1.6 / 2, 1.95 / 3, .7625
    "aa.excluding_first": (125 / 150 + 89 / 170 + 124 / 180) / 3,
    "learning_accuracy": 0.8375,  # (.8 + .7 + .95 + .9) / 4
    "bwt": -0.1,  # .6 - .8, .8 - .7, .75 - .95: -.2, .1, -.2
    "bwt.gem": -0.075,
    "bwt.diaz": -0.7 / 6,  # after 2: .1; after 3: -.4, -.1; after 4: -.2, .1, -.2
    "bwt.diaz.positive": 0.0,
    "bwt.diaz.remembering": 1 - 0.7 / 6,
    "bwt.continuum": -0.5 / 6,  # without (2,1), (3,2), (4,3): -.4, -.2, .1
    "bwt.continuum.positive": 0.0,
    "bwt.continuum.remembering": 1 - 0.5 / 6,
    "fwt": 1 / 3,  # .9 - .2, .35 - .25, .5 - .3: .7, .1, .2
    "fwt.gem": 0.25,
    "fwt.diaz": 3.35 / 6,  # .9, 1, .4, .35, .2, .5
    "fwt.nobaseline": 1.75 / 3,  # .9, .35, .5
    "zero_shot": 1.75 / 3,
    "fwt.continuum": 0.675,  # .9, .4, .6, .6, .8, .75 sum to 4.05
    "fm.mean": 0.4 / 3,  # .9 - .6, .7 - .8, .95 - .75: .3, -.1, .2
    "fm.max": 0.2,  # .8 - .6, .7 - .8, .95 - .75
    "fm.final": 0.1,
    "fm.clamped": 0.5 / 3,  # .3, 0, .2
    "fm.anytime": 0.65 / 3,  # .9 - .6, .9 - .8, 1 - .75: .3, .1, .25
    "fm.mammoth": 0.2,  # .3; .9 before task 2 was learned - .8; .95 - .75: .3, .1, .2
    "fm.continuum": 0.2 / 3,  # .9 - .6 and .7 - .8, over 3
    "intransigence.article": 0.1,
}

FOUR_TASKS_AGAINST_JOINT = {
    "d": 42 / 180,  # (95 + 45 + 16 + 10 - 124) / 180
    "intransigence": 0.05,  # .85 - .8, .8 - .7, .9 - .95, 1 - .9
    "intransigence.last": 0.1,  # 1 - .9
    "intransigence.final": 0.075,  # .95 - .8, .9 - .7, .8 - .95, 1 - .9
}


@pytest.mark.parametrize(("id", "value"), THREE_TASKS.items())
def test_three_tasks(id, value, three_tasks):
    assert score(id, three_tasks) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(("id", "value"), FOUR_TASKS.items())
def test_four_tasks(id, value, four_tasks):
    assert score(id, four_tasks) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(("id", "value"), FOUR_TASKS_AGAINST_JOINT.items())
def test_against_joint(id, value, four_tasks, four_tasks_joint):
    assert score(id, four_tasks, four_tasks_joint) == pytest.approx(value, abs=1e-12)
    assert math.isnan(score(id, four_tasks))


def test_every_score_is_worked_by_hand():
    assert set(SCORES) == set(FOUR_TASKS) | set(FOUR_TASKS_AGAINST_JOINT)
    assert set(THREE_TASKS) == set(FOUR_TASKS)


def test_every_score_describes_itself():
    for id, entry in SCORES.items():
        assert entry.id == id
        assert "\n" not in entry.formula
        assert entry.name
        assert entry.source


def test_positive_backward_transfer():
    # Task 1: .5 when learned, .7 after task 2, .9 after task 3; task 2: .6 when learned, .8 after task 3.
    matrix = matrix_of_tenths([[1, 1, 1], [5, 1, 1], [7, 6, 1], [9, 8, 4]])
    assert score("bwt.diaz.positive", matrix) == pytest.approx(0.8 / 3)  # .2 + .4 + .2
    assert score("bwt.diaz.remembering", matrix) == 1.0
    assert score("bwt.continuum.positive", matrix) == pytest.approx(0.4 / 3)
    assert score("bwt.continuum.remembering", matrix) == 1.0
    assert score("fm.clamped", matrix) == 0.0
    assert score("fm.max", matrix) == pytest.approx(-0.2)  # both tasks gained: .4 and .2


def test_forgetting_example_of_chaudhry():
    # One task at .7, .8, .6, .5 over four stages: backward transfer -.2, forgetting .3 (Chaudhry et al. 2018).
    matrix = matrix_of_tenths([[0, 0, 0, 0], [7, 0, 0, 0], [8, 5, 0, 0], [6, 5, 5, 0], [5, 5, 5, 5]])
    assert score("bwt", matrix) * 3 == pytest.approx(-0.2)
    np.testing.assert_allclose(per_task_forgetting(matrix), [0.3, 0, 0, np.nan], atol=1e-12)


def test_per_task_forgetting(four_tasks):
    np.testing.assert_allclose(per_task_forgetting(four_tasks), [0.3, -0.1, 0.2, np.nan])


def test_curves(three_tasks):
    np.testing.assert_allclose(average_accuracy_curve(three_tasks), [9 / 10, 22 / 30, 64 / 80])
    np.testing.assert_allclose(mean_accuracy_curve(three_tasks), [0.9, 0.7, 2.2 / 3])


def test_curves_need_only_the_tasks_seen(three_tasks):
    seen = without(three_tasks, [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)])
    np.testing.assert_allclose(average_accuracy_curve(seen), [9 / 10, 22 / 30, 64 / 80])
    np.testing.assert_allclose(mean_accuracy_curve(seen), [0.9, 0.7, 2.2 / 3])


def test_curve_is_nan_only_from_the_missing_cell_on(three_tasks):
    np.testing.assert_allclose(average_accuracy_curve(without(three_tasks, [(2, 0)])), [0.9, np.nan, 0.8])


def test_one_task_has_accuracy_but_no_transfer():
    matrix = matrix_of_tenths([[1], [8]])
    defined = {id for id in SCORES if not math.isnan(score(id, matrix, matrix))}
    assert defined == {
        "acc", "acc.diaz", "la", "aa", "aa.mean", "learning_accuracy", "bwt.gem", "fwt.gem", "d", "intransigence",
        "intransigence.last", "intransigence.final", "intransigence.article",
    }  # fmt: skip
    assert score("acc", matrix) == 0.8
    assert score("bwt.gem", matrix) == 0.0


@pytest.mark.parametrize("id", SCORES)
def test_needs_are_what_the_score_needs(id, four_tasks, four_tasks_joint):
    needs = SCORES[id].needs
    untrained = [(0, j) for j in range(4)]
    unseen = [(i, j) for i in range(1, 5) for j in range(i, 4)]
    assert math.isnan(score(id, without(four_tasks, untrained), four_tasks_joint)) == ("untrained row" in needs)
    assert math.isnan(score(id, without(four_tasks, unseen), four_tasks_joint)) == ("unseen tasks" in needs)
    assert math.isnan(score(id, four_tasks)) == ("joint" in needs)


@pytest.mark.parametrize("id", SCORES)
def test_a_missing_cell_makes_nan_or_changes_nothing(id, four_tasks, four_tasks_joint):
    whole = score(id, four_tasks, four_tasks_joint)
    for i in range(5):
        for j in range(4):
            value = score(id, without(four_tasks, [(i, j)]), four_tasks_joint)
            assert math.isnan(value) or value == whole, f"{id} without row {i}, task {j + 1}"
    assert math.isnan(score(id, AccuracyMatrix(4), four_tasks_joint))


@pytest.mark.parametrize(
    ("id", "message"),
    [("bwt.dias", "did you mean 'bwt.diaz'"), ("forgetting_mean", "did you mean"), ("ACC", "unknown score 'ACC'")],
)
def test_unknown_id_names_the_nearest(id, message, three_tasks):
    with pytest.raises(ValueError, match=message):
        score(id, three_tasks)


def test_joint_must_have_the_same_tasks(three_tasks, four_tasks):
    with pytest.raises(ValueError, match="d: the joint matrix has 4 tasks, the method's has 3"):
        score("d", three_tasks, four_tasks)


def complete_matrices(equal_tests):
    def rows(sizes):
        counts = st.tuples(*(st.integers(0, n) for n in sizes))
        return st.lists(counts, min_size=len(sizes) + 1, max_size=len(sizes) + 1).map(
            lambda correct: AccuracyMatrix.from_counts(correct, [sizes] * len(correct))
        )

    sizes = st.integers(2, 5).flatmap(lambda t: st.lists(st.integers(1, 30), min_size=t, max_size=t))
    return sizes.map(lambda s: [s[0]] * len(s) if equal_tests else s).flatmap(rows)


@settings(deadline=None, max_examples=50)
@given(complete_matrices(equal_tests=False))
def test_relations_between_variants(matrix):
    values = {id: score(id, matrix, matrix) for id in SCORES}
    t = matrix.n_tasks
    assert values["fm.final"] == pytest.approx(-values["bwt"], abs=1e-12)
    assert values["bwt.gem"] == pytest.approx(values["bwt"] * (t - 1) / t, abs=1e-12)
    assert values["fwt.gem"] == pytest.approx(values["fwt"] * (t - 1) / t, abs=1e-12)
    # Each takes its best over more rows than the one before.
    chain = ["fm.final", "fm.mean", "fm.clamped", "fm.mammoth"]
    assert all(values[a] <= values[b] + 1e-12 for a, b in itertools.pairwise(chain))
    assert values["fm.mean"] <= values["fm.anytime"] + 1e-12
    assert values["fm.final"] <= values["fm.max"] + 1e-12
    for id, entry in SCORES.items():
        low = 0 if entry.kind == "fraction" else -1
        assert low - 1e-12 <= values[id] <= 1 + 1e-12, id


@settings(deadline=None, max_examples=50)
@given(complete_matrices(equal_tests=True))
def test_weights_do_not_matter_between_equal_tests(matrix):
    assert score("la", matrix) == pytest.approx(score("acc", matrix))
    assert score("aa", matrix) == pytest.approx(score("aa.mean", matrix))


@settings(deadline=None, max_examples=50)
@given(complete_matrices(equal_tests=False))
def test_a_method_equal_to_joint_lacks_nothing(matrix):
    assert score("d", matrix, matrix) == 0.0
    assert score("intransigence", matrix, matrix) == 0.0


def matrix_of_tenths(rows):
    return AccuracyMatrix.from_counts(rows, [[10] * len(row) for row in rows])


def without(matrix, cells):
    """The same matrix with these (row, task id) cells not evaluated."""
    correct, total = matrix.correct, matrix.total
    for i, j in cells:
        correct[i][j] = total[i][j] = None
    return AccuracyMatrix.from_counts(correct, total)


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 7, 20])
def test_a_stack_of_matrices_gives_what_each_alone_gives_to_the_last_bit(n_tasks):
    draw = np.random.default_rng(n_tasks)
    tables = []
    for holes in (0.0, 0.0, 0.1, 0.9):
        missing = draw.random((n_tasks + 1, n_tasks)) < holes
        total = draw.integers(1, 1000, size=missing.shape)
        correct = draw.integers(0, total + 1)
        tables.append([np.where(missing, None, counts).tolist() for counts in (correct, total)])
    matrices = [AccuracyMatrix.from_counts(*own) for own in tables]
    stack = MatrixStack([arrays_of(*own) for own in tables])
    for id, entry in SCORES.items():
        joint = "joint" in entry.needs
        together = entry.function(stack, stack) if joint else entry.function(stack)
        alone = [score(id, matrix, matrix if joint else None) for matrix in matrices]
        np.testing.assert_array_equal(together, alone, err_msg=id)
    for curve in (average_accuracy_curve, mean_accuracy_curve, per_task_forgetting):
        np.testing.assert_array_equal(curve(stack), [curve(matrix) for matrix in matrices])


@pytest.mark.parametrize("correct", [[[1], [3]], [[1], [-1]], [[1], [None]], [[1], [1, 1]], [[1], ["x"]], [[1]]])
def test_counts_that_are_no_matrix_are_refused_as_one_alone_would_be(correct):
    total = [[2], [2]]
    with pytest.raises(ValueError, match=r"row|correct") as alone:
        AccuracyMatrix.from_counts(correct, total)
    with pytest.raises(ValueError, match=re.escape(str(alone.value))):
        arrays_of(correct, total)
