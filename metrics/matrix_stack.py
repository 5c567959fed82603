"""Accuracy matrices of several runs as one array, so that a score of all of them is one formula, not a loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metrics.accuracy_matrix import LARGEST_TOTAL, AccuracyMatrix

Array = NDArray[np.float64]
Table = Sequence[Sequence[int | None]]


class MatrixStack:
    """Matrices of the same number of tasks T, one behind the other: every formula takes it as it takes one matrix."""

    def __init__(self, counts: Sequence[tuple[Array, Array]]) -> None:
        """counts: of each matrix, at least one, correct and total as `arrays_of` gives them."""
        correct, total = zip(*counts, strict=True)
        self._counts = np.stack(correct), np.stack(total)
        self.n_tasks = self._counts[0].shape[-1]
        self.accuracy: Array = self._counts[0] / self._counts[1]
        """As of each matrix, shape (n, T+1, T)."""

    def counts(self) -> tuple[Array, Array]:
        """As of each matrix, each of shape (n, T+1, T)."""
        return self._counts


def arrays_of(correct: Table, total: Table) -> tuple[Array, Array]:
    """`AccuracyMatrix.from_counts(correct, total).counts()`, for ints in a twentieth of its time. Raises ValueError as
    that does, naming the place."""
    try:
        right, seen = np.array(correct, dtype=float), np.array(total, dtype=float)
    except (TypeError, ValueError, OverflowError):  # rows of several lengths, what is no number
        right = seen = np.empty(0)
    if right.shape == seen.shape == (len(correct), len(correct) - 1) and right.size:
        sound = (right >= 0) & (right <= seen) & (seen >= 1) & (seen < LARGEST_TOTAL)
        if (sound | (np.isnan(right) & np.isnan(seen))).all():
            return right, seen
    return AccuracyMatrix.from_counts(correct, total).counts()
