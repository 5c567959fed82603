"""The plots of a scenario, in the page's order: what stands above each, and how to read it.

Each is drawn by the module of its name, whose `draw` gives None where there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FIGURES = {
    "cost": (
        "Accuracy and its cost",
        "ACC against the FLOPs of inference and of training. Better is higher and further left. Names in bold are on "
        "the Pareto front.",
    ),
    "tasks": (
        "After each task",
        "Mean accuracy on the tasks seen so far, FLOPs of one prediction, and parameters, after each task; what hardly "
        "changes is a note.",
    ),
    "growth": (
        "Growth",
        "FLOPs of one prediction and accuracy on all classes so far, after each task, where some method's network "
        "grows. Compare slopes: a straight line grows by the same amount with every task.",
    ),
    "matrices": (
        "Accuracy matrices",
        "Each row is the state after so many tasks, each column a task's test. Forgetting is a column that darkens "
        "downwards.",
    ),
    "forgetting": (
        "Forgetting of each task",
        "What each task had gained at its best and lost by the end, in percentage points. A method that learns nothing "
        "forgets nothing: read it with ACC.",
    ),
    "buffer": ("Accuracy and buffer size", "ACC against the number of stored examples."),
}
"""Title and reading by the name that stands in a file's name."""


def file_name(scenario: str, kind: str) -> str:
    """Of a plot's SVG."""
    return f"{scenario.replace('/', '.')}.{kind}.svg"


def drawn(folder: Path, scenario: str) -> Iterator[tuple[str, Path]]:
    """Title and file of each plot of `scenario` in `folder`."""
    for kind, (title, _) in FIGURES.items():
        if (path := folder / file_name(scenario, kind)).exists():
            yield title, path
