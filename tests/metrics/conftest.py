"""Accuracy matrices worked by hand, neither of them monotone: accuracies fall and recover, later tasks help earlier
ones, and tasks have test sets of different sizes, so that no two definitions agree by accident."""

import pytest

from metrics import AccuracyMatrix


def matrix_of(totals, rows):
    """A matrix from the test set sizes and, row by row, the correct counts (None: not evaluated)."""
    matrix = AccuracyMatrix(len(totals))
    for i, row in enumerate(rows):
        matrix.record_row(i, [None if right is None else (right, n) for right, n in zip(row, totals, strict=True)])
    return matrix


@pytest.fixture
def three_tasks():
    """
    untrained  .2  .4  .1      test samples: 10, 20, 50
    after 1    .9  .5  .2
    after 2    .6  .8  .4
    after 3    .7  .6  .9
    """
    return matrix_of([10, 20, 50], [[2, 8, 5], [9, 10, 10], [6, 16, 20], [7, 12, 45]])


@pytest.fixture
def four_tasks():
    """
    untrained  .10  .20  .25  .30      test samples: 100, 50, 20, 10
    after 1    .80  .90  1.0  .40
    after 2    .90  .70  .35  .20
    after 3    .40  .60  .95  .50
    after 4    .60  .80  .75  .90
    """
    return matrix_of(
        [100, 50, 20, 10],
        [[10, 10, 5, 3], [80, 45, 20, 4], [90, 35, 7, 2], [40, 30, 19, 5], [60, 40, 15, 9]],
    )


@pytest.fixture
def four_tasks_joint():
    """The joint method on the same tests, evaluated on the tasks it has seen.

    after 1    .85
    after 2    .90  .80
    after 3    .90  .80  .90
    after 4    .95  .90  .80  1.0
    """
    return matrix_of(
        [100, 50, 20, 10],
        [
            [None, None, None, None],
            [85, None, None, None],
            [90, 40, None, None],
            [90, 40, 18, None],
            [95, 45, 16, 10],
        ],
    )
