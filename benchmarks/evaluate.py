"""One row of the accuracy matrix."""

from __future__ import annotations

import torch

from methods import Method
from scenarios import Scenario

Counts = tuple[int, int] | None
"""Correct answers and examples; None where the task cannot be evaluated yet."""


def evaluate(method: Method, scenario: Scenario) -> list[Counts]:
    """Test counts of `method` on every task of `scenario`, as far as it has learned them."""
    return evaluate_both(method, scenario)[0]


@torch.no_grad()
def evaluate_both(method: Method, scenario: Scenario, batch_size: int = 1000) -> tuple[list[Counts], list[Counts]]:
    """The row under the scenario's setting, and the same answers under its other reading (`other_view`).

    The method is told the task only where the setting grants it; which columns compete is the layout's business.
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
        own = layout.active_at_test(task.id, seen)
        # a method that answers only for the task it is told has no other reading
        other = None if method.needs_task_id else layout.other_view(task.id, seen)
        test = task.test.kept_on(method.device)
        right = torch.zeros(2, dtype=torch.int64, device=method.device)
        for images, y in zip(test.images.split(batch_size), test.labels.split(batch_size), strict=True):
            x = scenario.normalise(images)
            with method.precision():
                scores = method.predict(x, task_id) if task_id is not None else method.predict(x)
            right[0] += _correct(scores, y, own)
            if other is not None:
                right[1] += _correct(scores, y, other)
        correct, other_correct = right.tolist()
        row.append((correct, len(test)))
        other_row.append((other_correct, len(test)) if other is not None else None)
    method.network.train()
    return row, other_row


def _correct(scores: torch.Tensor, labels: torch.Tensor, active: slice) -> torch.Tensor:
    """How many are right, int64 [], left on the device: one look a task, not one a batch."""
    answers = scores[:, active].argmax(1) + active.start
    return (answers == labels).sum()
