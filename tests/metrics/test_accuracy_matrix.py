import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import AccuracyMatrix


def test_indices_are_trained_tasks_and_task_ids(three_tasks):
    assert three_tasks[0, 0] == 0.2  # untrained, first task
    assert three_tasks[1, 0] == 0.9  # first task just learned
    assert three_tasks[3, 1] == 0.6  # second task at the end
    assert three_tasks[-1, -1] == 0.9
    np.testing.assert_array_equal(three_tasks.accuracy[2], [0.6, 0.8, 0.4])
    with pytest.raises(IndexError):
        three_tasks[4, 0]
    with pytest.raises(IndexError):
        three_tasks[0, 3]


def test_not_evaluated_is_nan_and_none_never_zero():
    matrix = AccuracyMatrix(2)
    matrix.record_row(1, [(0, 4), None])
    assert matrix[1, 0] == 0.0
    assert math.isnan(matrix[1, 1])
    assert math.isnan(matrix[2, 0])
    np.testing.assert_array_equal(matrix.accuracy, [[np.nan, np.nan], [0.0, np.nan], [np.nan, np.nan]])
    assert matrix.correct == [[None, None], [0, None], [None, None]]
    assert matrix.total == [[None, None], [4, None], [None, None]]


def test_rows_in_any_order_until_complete():
    matrix = AccuracyMatrix(1)
    matrix.record_row(1, [(3, 4)])
    assert matrix.recorded == (1,)
    assert not matrix.complete
    matrix.record_row(0, [None])
    assert matrix.recorded == (0, 1)
    assert matrix.complete


def test_accuracy_is_a_copy(three_tasks):
    three_tasks.accuracy[0, 0] = 1.0
    assert three_tasks[0, 0] == 0.2


def test_counts_of_numpy_and_torch_are_counts():
    matrix = AccuracyMatrix(1)
    matrix.record_row(0, [(torch.tensor([True, True, False]).sum(), np.int64(3))])
    assert json.loads(json.dumps([matrix.correct, matrix.total])) == [[[2], [None]], [[3], [None]]]


@pytest.mark.parametrize(
    ("row", "cells", "message"),
    [
        (3, [(1, 2), (1, 2)], "row 3: rows run from 0 .* to 2"),
        (-1, [(1, 2), (1, 2)], "row -1"),
        (1.0, [(1, 2), (1, 2)], "the row is 1.0, not a whole number"),
        (1, [(1, 2)], "row 1: 1 cells for 2 tasks"),
        (1, [(1, 2), (3, 2)], "row 1, task 2: 3 correct of 2"),
        (1, [(-1, 2), (1, 2)], "row 1, task 1: -1 correct of 2"),
        (1, [(0, 0), (1, 2)], "row 1, task 1: a total of 0; give None"),
        (1, [(1, 2), (1, -2)], "row 1, task 2: a total of -2"),
        (1, [(1.0, 2), (1, 2)], "row 1, task 1: the correct count is 1.0, not a whole number"),
        (1, [(1, "2"), (1, 2)], "row 1, task 1: the total is '2'"),
        (1, [(True, 2), (1, 2)], "row 1, task 1: the correct count is True"),
        (1, [0.5, (1, 2)], r"row 1, task 1: 0.5 is neither \(correct, total\) nor None"),
    ],
)
def test_bad_row_is_refused_and_nothing_of_it_kept(row, cells, message):
    matrix = AccuracyMatrix(2)
    with pytest.raises(ValueError, match=message):
        matrix.record_row(row, cells)
    assert matrix == AccuracyMatrix(2)
    assert matrix.recorded == ()


def test_a_row_is_recorded_once(three_tasks):
    before = three_tasks.accuracy
    with pytest.raises(ValueError, match="row 2 is recorded already"):
        three_tasks.record_row(2, [(0, 10), (0, 20), (0, 50)])
    np.testing.assert_array_equal(three_tasks.accuracy, before)


@pytest.mark.parametrize("n_tasks", [0, -1, 2.0, True])
def test_number_of_tasks_must_be_positive(n_tasks):
    with pytest.raises(ValueError, match="number of tasks"):
        AccuracyMatrix(n_tasks)


cells = st.none() | st.integers(1, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
matrices = st.integers(1, 4).flatmap(
    lambda t: st.lists(st.lists(cells, min_size=t, max_size=t), min_size=t + 1, max_size=t + 1)
)


@settings(deadline=None, max_examples=50)
@given(matrices)
def test_survives_json(rows):
    matrix = AccuracyMatrix(len(rows) - 1)
    for i, row in enumerate(rows):
        matrix.record_row(i, row)
    stored = json.loads(json.dumps({"correct": matrix.correct, "total": matrix.total}))
    again = AccuracyMatrix.from_counts(stored["correct"], stored["total"])
    assert again == matrix
    np.testing.assert_array_equal(again.accuracy, matrix.accuracy)


@pytest.mark.parametrize(
    ("correct", "total", "message"),
    [
        ([[1], [1]], [[2]], "correct has 2 rows, total has 1"),
        ([[1]], [[2]], "at least 2, not 1"),
        ([[1], [1, 1]], [[2], [2]], "row 1: 2 correct and 1 total counts"),
        ([[1], [None]], [[2], [2]], "row 1, task 1: correct is None, total is 2"),
        ([[1], [1]], [[2], [None]], "row 1, task 1: correct is 1, total is None"),
        ([[1], [3]], [[2], [2]], "row 1, task 1: 3 correct of 2"),
        ([[1], [0.5]], [[2], [2]], "row 1, task 1: the correct count is 0.5"),
    ],
)
def test_bad_stored_counts_are_refused(correct, total, message):
    with pytest.raises(ValueError, match=message):
        AccuracyMatrix.from_counts(correct, total)


def test_equality_compares_counts_not_ratios():
    def single(correct, total):
        return AccuracyMatrix.from_counts([[None], [correct]], [[None], [total]])

    assert single(1, 2) == single(1, 2)
    assert single(1, 2) != single(2, 4)
    assert single(1, 2) != single(2, 2)
    assert AccuracyMatrix(1) != AccuracyMatrix(2)
    assert AccuracyMatrix(1) != "a matrix"


def test_prints_as_an_aligned_table():
    matrix = AccuracyMatrix(2)
    matrix.record_row(1, [(9, 10), None])
    matrix.record_row(2, [(2, 3), (10, 10)])
    assert str(matrix) == "\n".join(
        [
            "           task 1  task 2",
            "untrained       -       -",
            "after 1     0.900       -",
            "after 2     0.667   1.000",
        ]
    )
    assert repr(matrix) == "AccuracyMatrix(2 tasks, rows recorded: [1, 2])"


@pytest.mark.parametrize("total", [2**53 + 1, 2**63, 2**70])
def test_totals_that_do_not_add_up_in_64_bits_are_refused(total):
    with pytest.raises(ValueError, match=rf"row 1, task 1: a total of {total}"):
        AccuracyMatrix(1).record_row(1, [(0, total)])
    matrix = AccuracyMatrix(1)
    matrix.record_row(1, [(2**53, 2**53)])
    assert matrix[1, 0] == 1.0
