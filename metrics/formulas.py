"""The formulas behind the scores: functions of an accuracy matrix, named after the ids in
`metrics/scores.py`, which holds their definitions in words and their sources.

Rows are i = 0..T, tasks j = 1..T, as in the papers. Each returns a fraction or a difference of fractions, and
NaN where a cell it needs was not evaluated or where there are too few tasks.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from metrics.accuracy_matrix import AccuracyMatrix

Array = NDArray[np.float64]


def per_task_forgetting(matrix: AccuracyMatrix) -> Array:
    """Forgetting of each task at the end, shape (T,): its best accuracy from the row where it was learned to
    the row before the last, minus its final accuracy. Negative where the last task improved it; NaN for the
    last task.

    Source: Chaudhry et al. 2018, equation 3, with k = T. Their l runs from 1; taken from j here,
    since a_{l,j} is defined for j <= l.
    """
    R, T = _r(matrix)
    return np.array([_best(R[j:T, j]) - R[T, j] for j in range(1, T)] + [np.nan])


def average_accuracy_curve(matrix: AccuracyMatrix) -> Array:
    """A_1..A_T, shape (T,): the accuracy over all test samples of the tasks seen so far, after each task.

    Every sample weighs the same, so this is the accuracy over all known classes (Hu et al. 2023, section 4).
    """
    seen = np.tril(np.ones((matrix.n_tasks, matrix.n_tasks), dtype=bool))
    correct, total = (counts[1:] for counts in matrix.counts())
    return np.where(seen, correct, 0).sum(axis=1) / np.where(seen, total, 0).sum(axis=1)


def mean_accuracy_curve(matrix: AccuracyMatrix) -> Array:
    """The plain mean of the accuracies on the tasks seen so far, after each task, shape (T,). Every task
    weighs the same, however many test samples it has."""
    R, T = _r(matrix)
    return np.array([R[i, 1 : i + 1].mean() for i in range(1, T + 1)])


def _r(matrix: AccuracyMatrix) -> tuple[Array, int]:
    """R with an unused column 0, so that R[i, j] reads as in the formulas, and T."""
    return np.insert(matrix.accuracy, 0, np.nan, axis=1), matrix.n_tasks


def _mean(values: Iterable[float]) -> float:
    """The mean; NaN if any value is, and of nothing."""
    listed = list(values)
    return float(np.mean(listed)) if listed else float("nan")


def _best(values: Array) -> float:
    """The largest; NaN if any value is: a cell that was not evaluated may have been the best."""
    return float(np.max(values))


# Accuracy


def acc(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[T, j] for j in range(1, T + 1))


def acc_diaz(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[i, j] for i in range(1, T + 1) for j in range(1, i + 1))


def la(matrix: AccuracyMatrix) -> float:
    return float(average_accuracy_curve(matrix)[-1])


def aa(matrix: AccuracyMatrix) -> float:
    return _mean(average_accuracy_curve(matrix))


def aa_excluding_first(matrix: AccuracyMatrix) -> float:
    return _mean(average_accuracy_curve(matrix)[1:])


def aa_mean(matrix: AccuracyMatrix) -> float:
    return _mean(mean_accuracy_curve(matrix))


def learning_accuracy(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[j, j] for j in range(1, T + 1))


# Backward transfer


def bwt(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[T, j] - R[j, j] for j in range(1, T))


def bwt_gem(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[T, j] - R[j, j] for j in range(1, T + 1))


def bwt_diaz(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[i, j] - R[j, j] for i in range(2, T + 1) for j in range(1, i))


def bwt_continuum(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    # The pairs (j + 1, j) are left out, yet the sum is divided by the number of all pairs.
    pairs = [R[i, j] - R[j, j] for i in range(2, T + 1) for j in range(1, i - 1)]
    return float(np.sum(pairs)) / (T * (T - 1) / 2) if T > 1 else float("nan")


def bwt_diaz_positive(matrix: AccuracyMatrix) -> float:
    return float(np.maximum(bwt_diaz(matrix), 0.0))


def bwt_diaz_remembering(matrix: AccuracyMatrix) -> float:
    return float(1 - np.maximum(-bwt_diaz(matrix), 0.0))


def bwt_continuum_positive(matrix: AccuracyMatrix) -> float:
    return float(np.maximum(bwt_continuum(matrix), 0.0))


def bwt_continuum_remembering(matrix: AccuracyMatrix) -> float:
    return float(1 - np.maximum(-bwt_continuum(matrix), 0.0))


# Forward transfer


def zero_shot(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[j - 1, j] for j in range(2, T + 1))


def fwt(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[j - 1, j] - R[0, j] for j in range(2, T + 1))


def fwt_gem(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[j - 1, j] - R[0, j] for j in range(1, T + 1))


def fwt_diaz(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[i, j] for i in range(1, T + 1) for j in range(i + 1, T + 1))


def fwt_continuum(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[i, j] for i in range(2, T + 1) for j in range(1, i))


# Forgetting


def fm_mean(matrix: AccuracyMatrix) -> float:
    return _mean(per_task_forgetting(matrix)[:-1])


def fm_clamped(matrix: AccuracyMatrix) -> float:
    return _mean(np.maximum(per_task_forgetting(matrix)[:-1], 0.0))


def fm_max(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _best(np.array([R[j, j] - R[T, j] for j in range(1, T)])) if T > 1 else float("nan")


def fm_final(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(R[j, j] - R[T, j] for j in range(1, T))


def fm_anytime(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(_best(R[1:T, j]) - R[T, j] for j in range(1, T))


def fm_mammoth(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return _mean(_best(R[max(1, j - 1) : T + 1, j]) - R[T, j] for j in range(1, T))


def fm_continuum(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    # Both ranges stop one short: task T-1 and row T-1 are left out, yet the sum is divided by T-1.
    terms = [_best(R[j : T - 1, j]) - R[T, j] for j in range(1, T - 1)]
    return float(np.sum(terms)) / (T - 1) if T > 1 else float("nan")


# Against the joint method


def d(matrix: AccuracyMatrix, joint: AccuracyMatrix) -> float:
    return la(joint) - la(matrix)


def intransigence(matrix: AccuracyMatrix, joint: AccuracyMatrix) -> float:
    (R, T), (J, _) = _r(matrix), _r(joint)
    return _mean(J[j, j] - R[j, j] for j in range(1, T + 1))


def intransigence_last(matrix: AccuracyMatrix, joint: AccuracyMatrix) -> float:
    (R, T), (J, _) = _r(matrix), _r(joint)
    return float(J[T, T] - R[T, T])


def intransigence_final(matrix: AccuracyMatrix, joint: AccuracyMatrix) -> float:
    (R, T), (J, _) = _r(matrix), _r(joint)
    return _mean(J[T, j] - R[j, j] for j in range(1, T + 1))


def intransigence_article(matrix: AccuracyMatrix) -> float:
    R, T = _r(matrix)
    return float(1 - R[T, T])
