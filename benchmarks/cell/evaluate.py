"""One row of the accuracy matrix."""

from __future__ import annotations

import torch

from benchmarks.cell.fit import Diverged
from methods import Method
from scenarios import ImageFiles, Scenario

Counts = tuple[int, int] | None
"""Correct answers and examples; None where the task cannot be evaluated yet."""

FILES_AT_ONCE = 128
"""Test images decoded at a time: larger pictures than those in memory, and there is nothing to gain from more."""


def evaluate(method: Method, scenario: Scenario) -> list[Counts]:
    """Test counts of `method` on every task of `scenario`, as far as it has learned them.

    Raises Diverged where the score of an active class is NaN or infinite.
    """
    return evaluate_both(method, scenario)[0]


@torch.no_grad()
def evaluate_both(method: Method, scenario: Scenario, batch_size: int = 1000) -> tuple[list[Counts], list[Counts]]:
    """The row under the scenario's setting, and the same answers under its other reading (`other_view`).

    The method is told the task only where the setting grants it; which classes are active is the layout's business.
    Raises Diverged where the score of an active class is NaN or infinite: an argmax would answer all the same.
    """
    layout, seen = scenario.layout, method.seen
    method.network.eval()
    row: list[Counts] = []
    other_row: list[Counts] = []
    for task in scenario.tasks:
        if not layout.can_evaluate(task.id, seen) or not method.answers(task.id):
            row.append(None)
            other_row.append(None)
            continue
        task_id = task.id if layout.setting.task_id_at_test else None
        active = layout.active_at_test(task.id, seen)
        # a method that answers only for the task it is told has no other reading
        other = None if method.needs_task_id else layout.other_view(task.id, seen)
        test = task.test.kept_on(method.device)
        # right answers under either reading, and scores that are not finite: one look a task, not one a batch
        counts = torch.zeros(3, dtype=torch.int64, device=method.device)
        size = FILES_AT_ONCE if isinstance(test.images, ImageFiles) else batch_size
        for start in range(0, len(test), size):
            x, y = scenario.normalise(test.images[start : start + size]), test.labels[start : start + size]
            with method.precision():
                scores = method.predict(x, task_id) if task_id is not None else method.predict(x)
            counts[0] += (active.answers(scores) == y).sum()
            counts[2] += (~active.select(scores).isfinite()).sum()
            if other is not None:
                counts[1] += (other.answers(scores) == y).sum()
        correct, other_correct, not_finite = counts.tolist()
        if not_finite:
            trained = f"after {seen} tasks" if seen else "before training"
            raise Diverged(f"{not_finite} predicted scores of task {task.id} {trained} are NaN or infinite")
        row.append((correct, len(test)))
        other_row.append((other_correct, len(test)) if other is not None else None)
    method.network.train()
    return row, other_row
