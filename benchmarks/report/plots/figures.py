"""The plots of a scenario, in the page's order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.report.plots import buffer, cost, forgetting, growth, matrices, tasks
from benchmarks.report.plots.canvas import Canvas
from benchmarks.report.plots.scene import Scene


@dataclass(frozen=True)
class Plot:
    """title: above it on the page. reading: how to read it. draw: None where there is nothing to show."""

    title: str
    reading: str
    draw: Callable[[Scene], Canvas | None]


FIGURES: dict[str, Plot] = {
    "cost": Plot(
        "Accuracy and its cost",
        "ACC against the FLOPs of inference and of training. Better is higher and further left. Names in bold are on "
        "the Pareto front.",
        cost.draw,
    ),
    "tasks": Plot(
        "After each task",
        "Mean accuracy on the tasks seen so far, FLOPs of one prediction, and parameters, after each task; what hardly "
        "changes is a note.",
        tasks.draw,
    ),
    "growth": Plot(
        "Growth",
        "FLOPs of one prediction and accuracy on all classes so far, after each task, where some method's network "
        "grows. Compare slopes: a straight line grows by the same amount with every task.",
        growth.draw,
    ),
    "matrices": Plot(
        "Accuracy matrices",
        "Each row is the state after so many tasks, each column a task's test. Forgetting is a column that darkens "
        "downwards.",
        matrices.draw,
    ),
    "forgetting": Plot(
        "Forgetting of each task",
        "What each task had gained at its best and lost by the end, in percentage points. A method that learns nothing "
        "forgets nothing: read it with ACC.",
        forgetting.draw,
    ),
    "buffer": Plot("Accuracy and buffer size", "ACC against the number of stored examples.", buffer.draw),
}
"""By the name that stands in a file's name."""
