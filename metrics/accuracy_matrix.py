"""The accuracy matrix: what a run measured, as counts, from which every score is derived.

R[i][j] is the accuracy on task j after training i tasks. Row 0 is the untrained model, so there are T + 1
rows and T columns. Correct and total counts are stored rather than accuracies, so that task-weighted and
sample-weighted averages both follow, and so that a table can be recomputed from a record.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_TOTAL = 2**53
"""Test images of a task: exact as a float, and those of a thousand tasks add up in 64 bits."""

Cell = tuple[int, int] | None
Counts = list[list[int | None]]


class AccuracyMatrix:
    """Correct and total counts on T tasks, before training and after each task.

    Formulas number tasks 1..T. Here the first index is the number of tasks trained so far, 0..T, and the
    second is the task's id, 0..T-1: R[i][j] of a formula is `matrix[i, j - 1]`. So `matrix[0, 0]` is the
    untrained model on the first task, and `matrix[k + 1, k]` is task k right after it was learned.

    A cell that was not evaluated is NaN as an accuracy and None as a count, never 0.
    """

    def __init__(self, n_tasks: int) -> None:
        if isinstance(n_tasks, bool) or not isinstance(n_tasks, int) or n_tasks < 1:
            raise ValueError(f"an accuracy matrix needs a whole number of tasks, at least 1, not {n_tasks!r}")
        self.n_tasks = n_tasks
        self._correct = np.zeros((n_tasks + 1, n_tasks), dtype=np.int64)
        # A total of 0 marks a cell that was not evaluated: an evaluated one has at least one sample.
        self._total = np.zeros((n_tasks + 1, n_tasks), dtype=np.int64)
        self._recorded: set[int] = set()

    @classmethod
    def from_counts(
        cls, correct: Sequence[Sequence[int | None]], total: Sequence[Sequence[int | None]]
    ) -> AccuracyMatrix:
        """The matrix whose `correct` and `total` are these, as read from a record: (T+1) rows of T, None
        where not evaluated.

        A row without any evaluated cell counts as not recorded. Raises ValueError, naming the place, where
        the two disagree in shape, where a cell has only one of its counts, or where `record_row` would refuse
        the counts.
        """
        if len(correct) != len(total):
            raise ValueError(f"correct has {len(correct)} rows, total has {len(total)}")
        if len(correct) < 2:
            raise ValueError(f"an accuracy matrix has T + 1 rows, at least 2, not {len(correct)}")
        matrix = cls(len(correct) - 1)
        for i, (correct_row, total_row) in enumerate(zip(correct, total, strict=True)):
            if len(correct_row) != matrix.n_tasks or len(total_row) != matrix.n_tasks:
                raise ValueError(
                    f"row {i}: {len(correct_row)} correct and {len(total_row)} total counts where "
                    f"{matrix.n_tasks + 1} rows need {matrix.n_tasks} of each"
                )
            cells: list[Cell] = []
            for j, (right, seen) in enumerate(zip(correct_row, total_row, strict=True)):
                if right is None and seen is None:
                    cells.append(None)
                elif right is None or seen is None:
                    raise ValueError(f"row {i}, task {j + 1}: correct is {right}, total is {seen}")
                else:
                    cells.append((right, seen))
            if any(cell is not None for cell in cells):
                matrix.record_row(i, cells)
        return matrix

    def record_row(self, i: int, cells: Sequence[Cell]) -> None:
        """Store the evaluation after i trained tasks (0 = untrained), in any order of rows, each row once.

        cells: one (correct, total) a task, or None for a task that was not evaluated.
        Raises ValueError, naming row and task, for a row out of 0..T or recorded before, a wrong number of
        cells, counts that are not whole numbers, and anything but 0 <= correct <= total with 1 <= total <= 2**53.
        Nothing is stored then.
        """
        row = _whole_number(i, "the row")
        if not 0 <= row <= self.n_tasks:
            raise ValueError(f"row {row}: rows run from 0 (untrained) to {self.n_tasks} (after the last task)")
        if row in self._recorded:
            raise ValueError(f"row {row} is recorded already")
        if len(cells) != self.n_tasks:
            raise ValueError(f"row {row}: {len(cells)} cells for {self.n_tasks} tasks")
        checked = [_checked(cell, f"row {row}, task {j}") for j, cell in enumerate(cells, start=1)]
        for j, cell in enumerate(checked):
            if cell is not None:
                self._correct[row, j], self._total[row, j] = cell
        self._recorded.add(row)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """R as fractions, shape (T+1, T), NaN where not evaluated. A fresh array."""
        evaluated = self._total > 0
        accuracy = np.full(self._total.shape, np.nan)
        np.divide(self._correct, self._total, out=accuracy, where=evaluated)
        return accuracy

    def counts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Correct and total counts, each of shape (T+1, T), NaN where not evaluated. Fresh arrays."""
        evaluated = self._total > 0
        return np.where(evaluated, self._correct, np.nan), np.where(evaluated, self._total, np.nan)

    def __getitem__(self, index: tuple[int, int]) -> float:
        """The accuracy after i trained tasks on the task with id j: `matrix[i, j]`, NaN if not evaluated.

        Negative indices count from the end, as in an array; IndexError beyond either end.
        """
        i, j = index
        if self._total[i, j] == 0:
            return float("nan")
        return float(self._correct[i, j] / self._total[i, j])

    @property
    def correct(self) -> Counts:
        """Correct counts for a record: T + 1 lists of T, None where not evaluated."""
        return self._with_none(self._correct)

    @property
    def total(self) -> Counts:
        """Test samples for a record: T + 1 lists of T, None where not evaluated."""
        return self._with_none(self._total)

    @property
    def recorded(self) -> tuple[int, ...]:
        """The rows recorded so far, ascending."""
        return tuple(sorted(self._recorded))

    @property
    def complete(self) -> bool:
        """Whether all T + 1 rows are recorded; single cells in them may still be not evaluated."""
        return len(self._recorded) == self.n_tasks + 1

    def __eq__(self, other: object) -> bool:
        """Equal counts in every cell."""
        if not isinstance(other, AccuracyMatrix):
            return NotImplemented
        return np.array_equal(self._correct, other._correct) and np.array_equal(self._total, other._total)

    def __repr__(self) -> str:
        return f"AccuracyMatrix({self.n_tasks} tasks, rows recorded: {list(self.recorded)})"

    def __str__(self) -> str:
        """A text table of fractions: one line a row, one column a task, a dash where not evaluated."""
        header = ["", *(f"task {j}" for j in range(1, self.n_tasks + 1))]
        lines = [header]
        for i, row in enumerate(self.accuracy):
            label = f"after {i}" if i else "untrained"
            lines.append([label, *("-" if np.isnan(value) else f"{value:.3f}" for value in row)])
        widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
        return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)

    def _with_none(self, counts: NDArray[np.int64]) -> Counts:
        return [
            [int(count) if total > 0 else None for count, total in zip(row, totals, strict=True)]
            for row, totals in zip(counts, self._total, strict=True)
        ]


def _checked(cell: Any, place: str) -> Cell:
    if cell is None:
        return None
    if not isinstance(cell, (tuple, list)) or len(cell) != 2:
        raise ValueError(f"{place}: {cell!r} is neither (correct, total) nor None")
    correct = _whole_number(cell[0], f"{place}: the correct count")
    total = _whole_number(cell[1], f"{place}: the total")
    if total < 1:
        raise ValueError(f"{place}: a total of {total}; give None for a task that was not evaluated")
    if not 0 <= correct <= total:
        raise ValueError(f"{place}: {correct} correct of {total}")
    if total > LARGEST_TOTAL:
        raise ValueError(f"{place}: a total of {total}, more than the {LARGEST_TOTAL} that can be added up")
    return correct, total


def _whole_number(value: Any, what: str) -> int:
    """`value` as an int. Counts summed by numpy or torch are whole numbers too; 3.0 and True are not."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{what} is {value!r}, not a whole number")
    return number
