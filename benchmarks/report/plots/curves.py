"""Lines over the tasks in panels below each other, each line with its name at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes

from benchmarks.report.plots.canvas import WIDTH, Canvas
from benchmarks.report.plots.labels import MARGIN, Name, marker, write_names
from benchmarks.report.plots.scales import Limits, finite, percent_limits, set_cost_y, set_percent_y, task_ticks
from benchmarks.report.plots.scene import Array, Named, Scene
from benchmarks.report.plots.styles import Style

LEFT, BETWEEN = 66.0, 14.0
COINCIDE = 0.01
"""Lines that are nowhere further apart than this part of the axis cannot be seen apart."""
LOG_FROM = 50.0
"""Costs that differ by more than this factor stand on a logarithmic axis."""
STRIPE = 2.4
"""Length of a stripe where lines coincide, in line widths."""
SHARED = Style("#444444", "", (0, ()))
"""Methods that cost the same are one line, in a grey that is no method's."""


@dataclass(frozen=True)
class Curve:
    """One line of a panel: means after each task, half widths of their intervals, and whose they are."""

    entries: tuple[Named, ...]
    mean: Array
    half: Array

    @property
    def style(self) -> Style:
        return self.entries[0].style if len(self.entries) == 1 else SHARED

    @property
    def name(self) -> Name:
        """At its last point; a name with what a reader must know of the method, or the names that share a curve."""
        one = len(self.entries) == 1
        text = self.entries[0].label if one else ", ".join(entry.method for entry in self.entries)
        last = max(np.flatnonzero(np.isfinite(self.mean)), default=0)
        return Name(text, self.style, float(last + 1), float(self.mean[last]))


@dataclass(frozen=True)
class Panel:
    """One of the axes that stand below each other, at least `least` points high. percent: of accuracies, else of costs
    from 0, on a logarithmic axis where they differ by more than `log_from`."""

    label: str
    curves: list[Curve]
    least: float
    percent: bool = False
    log_from: float = LOG_FROM

    @property
    def height(self) -> float:
        return max(self.least, sum(curve.name.height for curve in self.curves))


def curves_of(scene: Scene, name: str, scale: float = 1) -> list[Curve]:
    """One of `Runs.curves` of each method that has it."""
    curves = [Curve((entry,), *entry.over_seeds(name, scale)) for entry in scene.entries]
    return [curve for curve in curves if np.isfinite(curve.mean).any()]


def same_together(curves: Sequence[Curve]) -> list[Curve]:
    """One curve for all that have the same means and intervals after every task."""
    groups: dict[tuple, list[Curve]] = {}
    for curve in curves:
        key = (*np.round(curve.mean, 6), *np.nan_to_num(np.round(curve.half, 6)))
        groups.setdefault(key, []).append(curve)
    return [replace(group[0], entries=tuple(e for c in group for e in c.entries)) for group in groups.values()]


def accuracy_limits(curves: Sequence[Curve]) -> Limits:
    """Of an axis that holds the curves with their bands."""
    return percent_limits([curve.mean for curve in curves], [curve.half for curve in curves])


def draw_panels(title: str, panels: Sequence[Panel], n_tasks: int, notes: Sequence[str]) -> Canvas:
    """The panels below each other with one axis of tasks."""
    canvas = Canvas(sum(panel.height + BETWEEN for panel in panels) + 60, title, notes)
    y = canvas.top + BETWEEN - 10
    for panel in panels:
        y -= panel.height + BETWEEN
        axes = canvas.axes(LEFT, y, WIDTH - LEFT - MARGIN, panel.height)
        if panel.percent:
            set_percent_y(axes, accuracy_limits(panel.curves), panel.label)
        else:
            set_cost_y(axes, finite(*(c.mean for c in panel.curves)), panel.label, panel.log_from)
        _draw_lines(axes, panel.curves, n_tasks, most=100.0 if panel.percent else np.inf)
        write_names(canvas, axes, [curve.name for curve in panel.curves if finite(curve.mean)])
        axes.tick_params(labelbottom=panel is panels[-1])
    axes.set_xlabel("tasks learned")
    return canvas


def _draw_lines(axes: Axes, curves: Sequence[Curve], n_tasks: int, most: float) -> None:
    """The curves with bands up to `most`."""
    x = np.arange(1, n_tasks + 1)
    air = max(0.04 * (n_tasks - 1), 0.15)
    axes.set(xlim=(1 - air, n_tasks + air), xticks=task_ticks(n_tasks))
    low, high = axes.get_ylim()
    for curve in curves:
        if np.isfinite(curve.half).any():
            bottom, top = np.maximum(curve.mean - curve.half, 0), np.minimum(curve.mean + curve.half, most)
            axes.fill_between(x, bottom, top, color=curve.style.colour, alpha=0.13, linewidth=0, zorder=2)
    for group in coinciding(curves, COINCIDE * (high - low)):
        for k, curve in enumerate(group):
            style, rest = curve.style, len(group) - 1
            if style is SHARED and n_tasks == 1:
                style = replace(SHARED, marker="o")  # of one task there is no line to see
            # Stripes that leave room for each other, and markers around each other, so that all are seen.
            dash = (STRIPE * k, (STRIPE, STRIPE * rest)) if rest else style.dash
            signs = marker(style, 5.0 + 2.2 * (rest - k))
            axes.plot(x, curve.mean, linewidth=1.7, linestyle=dash, zorder=3, **signs)


def coinciding(curves: Sequence[Curve], distance: float) -> list[list[Curve]]:
    """Curves in groups: each curve with the first whose mean is within `distance` of its own after every task."""
    groups: list[list[Curve]] = []
    for curve in curves:
        near = (g for g in groups if np.nan_to_num(np.abs(g[0].mean - curve.mean)).max() <= distance)
        group = next(near, None)
        if group is None:
            groups.append([curve])
        else:
            group.append(curve)
    return groups
