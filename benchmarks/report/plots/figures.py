"""The plots of a scenario in their order, what stands above each, how to read it; and the suite's page of them.

Each is drawn by the module of its name, whose `draw` gives None where there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from benchmarks.report.leaderboard import name_of
from benchmarks.report.markdown import bullets, escape
from benchmarks.report.plots.scene import Scene
from benchmarks.request.suite import Suite

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
READING = (
    "A method has the same colour, marker and dashes in all plots of all suites. Upper bounds are black, lower bounds "
    "grey; a hollow marker is a variant of the method with that colour (another buffer size, say).",
    "Bars and bands are 95% intervals of the mean over seeds (Student t), as in the tables. Whether two methods differ "
    "is decided by the paired test there, not by whether intervals overlap.",
    "⚠ before a name: a warning, read the notes below the scenario's heading.",
    "An accuracy axis shows the range that matters and need not start at 0; the note in a plot says so.",
)


def file_name(scenario: str, kind: str) -> str:
    """Of a plot's SVG."""
    return f"{scenario.replace('/', '.')}.{kind}.svg"


def drawn(folder: Path, scenario: str) -> Iterator[tuple[str, str, Path]]:
    """Title, reading and file of each plot of `scenario` in `folder`."""
    for kind, (title, reading) in FIGURES.items():
        if (path := folder / file_name(scenario, kind)).exists():
            yield title, reading, path


def page(suite: Suite, scenes: Sequence[Scene], folder: Path) -> str:
    """GitHub markdown of the plots that lie under `folder`; it ends in a newline."""
    name = name_of(suite)
    smoke = " (smoke test, not a result)" if suite.kind == "smoke" else ""
    only = f" (only {escape(suite.selection)})" if suite.selection else ""
    parts = [f"# {escape(suite.title)}: plots{smoke}{only}"]
    parts += [f"The numbers stand in [{escape(name)}.md]({quote(name)}.md).", bullets(map(escape, READING))]
    for scene in scenes:
        parts.append(f"## {escape(scene.heading)}")
        if not scene.entries:
            parts.append(f"No run has succeeded yet ({len(scene.runs.seeds)} seeds asked for).")
        parts.append(bullets(map(escape, scene.notes)))
        for title, reading, path in drawn(folder / f"{name}.plots", scene.scenario):
            link = quote(path.relative_to(folder).as_posix())
            parts += [f"### {title}", escape(reading), f"![{escape(f'{scene.scenario}: {title}')}]({link})"]
    return "\n\n".join(filter(None, parts)) + "\n"
