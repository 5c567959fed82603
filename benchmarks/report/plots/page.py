"""The plots of a suite on one page of GitHub markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from benchmarks.report.leaderboard import name_of
from benchmarks.report.markdown import escape
from benchmarks.report.plots import figures
from benchmarks.report.plots.scene import Scene
from benchmarks.request.suite import Suite

READING = (
    "A method has the same colour, marker and dashes in all plots of all suites. Upper bounds are black, lower bounds "
    "grey; a hollow marker is a variant of the method with that colour (another buffer size, say).",
    "Bars and bands are 95% intervals of the mean over seeds (Student t), as in the tables. Whether two methods differ "
    "is decided by the paired test there, not by whether intervals overlap.",
    "⚠ before a name: a warning, read the notes below the scenario's heading.",
    "An accuracy axis shows the range that matters and need not start at 0; the note in a plot says so.",
)


def page(suite: Suite, scenes: Sequence[Scene], folder: Path) -> str:
    """The whole document, of the plots that lie under `folder`; it ends in a newline."""
    name = name_of(suite)
    smoke = " (smoke test, not a result)" if suite.kind == "smoke" else ""
    only = f" (only {escape(suite.selection)})" if suite.selection else ""
    parts = [f"# {escape(suite.title)}: plots{smoke}{only}"]
    parts.append(f"The numbers stand in [{escape(name)}.md]({quote(name)}.md).")
    parts.append("\n".join(f"- {escape(line)}" for line in READING))
    for scene in scenes:
        parts.append(f"## {escape(scene.heading)}")
        if not scene.entries:
            parts.append(f"No run has succeeded yet ({len(scene.runs.seeds)} seeds asked for).")
        parts.append("\n".join(f"- {escape(note)}" for note in scene.notes))
        for kind, (title, reading) in figures.FIGURES.items():
            path = f"{name}.plots/{figures.file_name(scene.scenario, kind)}"
            if (folder / path).exists():
                parts.append(f"### {title}")
                parts.append(escape(reading))
                parts.append(f"![{escape(f'{scene.scenario}: {title}')}]({quote(path)})")
    return "\n\n".join(part for part in parts if part) + "\n"
