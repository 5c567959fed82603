"""The formulas behind the scores: functions of an accuracy matrix, named after the ids in
`metrics/scores.py`, which holds their definitions in words and their sources.

Rows are i = 0..T, tasks j = 1..T, as in the papers. Each takes one matrix, or a stack of them (`MatrixStack`), and
returns a fraction or a difference of fractions for each, shape () or (n,); NaN where a cell it needs was not evaluated
or where there are too few tasks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from metrics.accuracy_matrix import AccuracyMatrix
from metrics.matrix_stack import MatrixStack

Array = NDArray[np.float64]
Matrix = AccuracyMatrix | MatrixStack


def per_task_forgetting(matrix: Matrix) -> Array:
    """Forgetting of each task at the end, shape (..., T): its best accuracy from the row where it was learned to
    the row before the last, minus its final accuracy. Negative where the last task improved it; NaN for the
    last task.

    Source: Chaudhry et al. 2018, equation 3, with k = T. Their l runs from 1; taken from j here,
    since a_{l,j} is defined for j <= l.
    """
    lost = _from_best(matrix, lambda j, T: (j, T))
    return np.concatenate([lost, np.full((*lost.shape[:-1], 1), np.nan)], axis=-1)


def average_accuracy_curve(matrix: Matrix) -> Array:
    """A_1..A_T, shape (..., T): the accuracy over all test samples of the tasks seen so far, after each task.

    Every sample weighs the same, so this is the accuracy over all known classes (Hu et al. 2023, section 4).
    """
    seen = np.tril(np.ones((matrix.n_tasks, matrix.n_tasks), dtype=bool))
    correct, total = (counts[..., 1:, :] for counts in matrix.counts())
    return np.where(seen, correct, 0).sum(axis=-1) / np.where(seen, total, 0).sum(axis=-1)


def mean_accuracy_curve(matrix: Matrix) -> Array:
    """The plain mean of the accuracies on the tasks seen so far, after each task, shape (..., T). Every task
    weighs the same, however many test samples it has."""
    R, T = _r(matrix)
    return np.stack([_mean(R[..., i, 1 : i + 1]) for i in range(1, T + 1)], axis=-1)


def _r(matrix: Matrix) -> tuple[Array, int]:
    """R with an unused column 0, so that R[..., i, j] reads as in the formulas, and T."""
    accuracy = matrix.accuracy
    return np.concatenate([np.full((*accuracy.shape[:-1], 1), np.nan), accuracy], axis=-1), matrix.n_tasks


def _mean(values: Array) -> Array:
    """The mean over the last axis; NaN if any value is, and of nothing. Contiguous, so that it is summed in the same
    order, and is equal to the last bit, alone and in a stack."""
    return np.ascontiguousarray(values).mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


def _diagonal(R: Array, first: int, last: int) -> Array:
    """R[..., j, j] for j from first to last."""
    j = np.arange(first, last + 1)
    return R[..., j, j]


def _pairs(R: Array, T: int, distance: int = 1) -> tuple[Array, Array]:
    """R[i][j] and R[j][j] for all tasks j and rows i that are at least `distance` later, row by row."""
    i, j = np.tril_indices(T + 1, -distance)
    i, j = i[j > 0], j[j > 0]
    return R[..., i, j], R[..., j, j]


# Accuracy


def acc(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(R[..., T, 1:])


def acc_diaz(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(_pairs(R, T, 0)[0])


def la(matrix: Matrix) -> Array:
    return average_accuracy_curve(matrix)[..., -1]


def aa(matrix: Matrix) -> Array:
    return _mean(average_accuracy_curve(matrix))


def aa_excluding_first(matrix: Matrix) -> Array:
    return _mean(average_accuracy_curve(matrix)[..., 1:])


def aa_mean(matrix: Matrix) -> Array:
    return _mean(mean_accuracy_curve(matrix))


def learning_accuracy(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(_diagonal(R, 1, T))


# Backward transfer


def bwt(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(R[..., T, 1:T] - _diagonal(R, 1, T - 1))


def bwt_gem(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(R[..., T, 1:] - _diagonal(R, 1, T))


def bwt_diaz(matrix: Matrix) -> Array:
    later, learned = _pairs(*_r(matrix))
    return _mean(later - learned)


def bwt_continuum(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    # The pairs (j + 1, j) are left out, yet the sum is divided by the number of all pairs.
    later, learned = _pairs(R, T, 2)
    return _share(later - learned, T * (T - 1) / 2)


def bwt_diaz_positive(matrix: Matrix) -> Array:
    return np.maximum(bwt_diaz(matrix), 0.0)


def bwt_diaz_remembering(matrix: Matrix) -> Array:
    return 1 - np.maximum(-bwt_diaz(matrix), 0.0)


def bwt_continuum_positive(matrix: Matrix) -> Array:
    return np.maximum(bwt_continuum(matrix), 0.0)


def bwt_continuum_remembering(matrix: Matrix) -> Array:
    return 1 - np.maximum(-bwt_continuum(matrix), 0.0)


def _share(terms: Array, of: float) -> Array:
    """The sum of `terms` over `of`, a number that need not be theirs; NaN for a single task, which has of = 0."""
    if not of:
        return np.full(terms.shape[:-1], np.nan)
    return np.ascontiguousarray(terms).sum(axis=-1) / of


# Forward transfer


def zero_shot(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(_unseen(R, 2, T))


def fwt(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(_unseen(R, 2, T) - R[..., 0, 2:])


def fwt_gem(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(_unseen(R, 1, T) - R[..., 0, 1:])


def _unseen(R: Array, first: int, last: int) -> Array:
    """R[..., j - 1, j] for j from first to last: just before the task is learned."""
    j = np.arange(first, last + 1)
    return R[..., j - 1, j]


def fwt_diaz(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    i, j = np.triu_indices(T + 1, 1)
    return _mean(R[..., i[i > 0], j[i > 0]])


def fwt_continuum(matrix: Matrix) -> Array:
    return _mean(_pairs(*_r(matrix))[0])


# Forgetting


def fm_mean(matrix: Matrix) -> Array:
    return _mean(per_task_forgetting(matrix)[..., :-1])


def fm_clamped(matrix: Matrix) -> Array:
    return _mean(np.maximum(per_task_forgetting(matrix)[..., :-1], 0.0))


def fm_max(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    lost = _diagonal(R, 1, T - 1) - R[..., T, 1:T]
    return lost.max(axis=-1) if T > 1 else np.full(lost.shape[:-1], np.nan)


def fm_final(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return _mean(_diagonal(R, 1, T - 1) - R[..., T, 1:T])


def fm_anytime(matrix: Matrix) -> Array:
    return _mean(_from_best(matrix, lambda j, T: (1, T)))


def fm_mammoth(matrix: Matrix) -> Array:
    return _mean(_from_best(matrix, lambda j, T: (max(1, j - 1), T + 1)))


def fm_continuum(matrix: Matrix) -> Array:
    T = matrix.n_tasks
    # Both ranges stop one short: task T-1 and row T-1 are left out, yet the sum is divided by T-1.
    return _share(_from_best(matrix, lambda j, T: (j, T - 1), last=T - 2), T - 1)


def _from_best(matrix: Matrix, rows: Callable[[int, int], tuple[int, int]], last: int | None = None) -> Array:
    """The best accuracy among `rows`(j, T), first and one after the last, minus the final one; of tasks 1 to `last`,
    T - 1 unless given. NaN if any of the rows is: a cell that was not evaluated may have been the best."""
    R, T = _r(matrix)
    tasks = range(1, (T - 1 if last is None else last) + 1)
    best = [R[..., slice(*rows(j, T)), j].max(axis=-1) for j in tasks]
    return np.stack(best, axis=-1) - R[..., T, 1 : len(best) + 1] if best else np.empty((*R.shape[:-2], 0))


# Against the joint method


def d(matrix: Matrix, joint: Matrix) -> Array:
    return la(joint) - la(matrix)


def intransigence(matrix: Matrix, joint: Matrix) -> Array:
    (R, T), (J, _) = _r(matrix), _r(joint)
    return _mean(_diagonal(J, 1, T) - _diagonal(R, 1, T))


def intransigence_last(matrix: Matrix, joint: Matrix) -> Array:
    (R, T), (J, _) = _r(matrix), _r(joint)
    return J[..., T, T] - R[..., T, T]


def intransigence_final(matrix: Matrix, joint: Matrix) -> Array:
    (R, T), (J, _) = _r(matrix), _r(joint)
    return _mean(J[..., T, 1:] - _diagonal(R, 1, T))


def intransigence_article(matrix: Matrix) -> Array:
    R, T = _r(matrix)
    return 1 - R[..., T, T]
