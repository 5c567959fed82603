"""How much of each task is forgotten at the end, one small panel a method."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.ticker import FixedLocator, MaxNLocator

from benchmarks.report.plots.canvas import INK, Canvas, finite, shortened, task_ticks, text_width
from benchmarks.report.plots.scene import Entry, Scene

WIDTH = 680.0
LEAST = 10.0
"""The least height of the axis, in percentage points: a smaller difference should not fill a panel."""


def draw(scene: Scene) -> Canvas | None:
    """Small multiples with one axis; None without a result or where there is one task, which nothing follows."""
    if not scene.entries or scene.n_tasks < 2:
        return None
    columns = 4 if scene.n_tasks <= 12 else 3
    rows = math.ceil(len(scene.entries) / columns)
    width, tall = (WIDTH - 50 - 12 * columns) / columns, 96.0
    step = tall + 34
    values = [tuple(curve[:-1] for curve in entry.over_seeds("forgetting", 100)) for entry in scene.entries]
    limits = _limits([bound for mean, half in values for bound in _interval(mean, half)])
    notes = [
        f"{scene.seeds_text('bars')} Forgetting of a task: its best accuracy between learning it and the last task but "
        "one, minus its accuracy after the last. Below 0: it improved. FM is the mean over tasks.",
        scene.absent_text(),
    ]
    canvas = Canvas(WIDTH, rows * step + 56, f"{scene.heading}: forgetting of each task", notes)
    for k, (entry, (mean, half)) in enumerate(zip(scene.entries, values, strict=True)):
        row, column = divmod(k, columns)
        y = canvas.top - 22 - row * step - tall
        axes = canvas.axes(50 + column * (width + 12), y, width, tall)
        x = np.arange(1, scene.n_tasks)
        axes.bar(x, mean, width=0.66, color=entry.style.colour, zorder=2)
        low, high = _interval(mean, half)
        axes.vlines(x, low, high, color="white", linewidth=2.4, zorder=3)  # else not seen on a dark bar
        axes.vlines(x, low, high, color=INK, linewidth=1.2, zorder=3)
        axes.axhline(0, color=INK, linewidth=0.8, zorder=4)
        axes.set_ylim(*limits)
        axes.set_xlim(0.4, scene.n_tasks - 0.4)
        axes.grid(axis="x", visible=False)
        axes.xaxis.set_major_locator(FixedLocator(task_ticks(scene.n_tasks - 1)))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        below = k + columns >= len(scene.entries)
        axes.tick_params(labelleft=column == 0, labelbottom=below, length=2)
        axes.set_title(
            shortened(entry.label, 9, width - text_width(_fm(entry), 7.5) - 4), loc="left", fontsize=9, pad=4, color=INK
        )
        axes.set_title(_fm(entry), loc="right", fontsize=7.5, pad=4, color=INK)
        if column == 0:
            axes.set_ylabel("forgetting, pp", fontsize=8)
        if below:
            axes.set_xlabel("task", fontsize=8, labelpad=1)
    return canvas


def _interval(mean: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the intervals, within what forgetting can be; the mean itself where there is one seed."""
    half = np.nan_to_num(half)
    return np.maximum(mean - half, -100.0), np.minimum(mean + half, 100.0)


def _limits(bounds: list[np.ndarray]) -> tuple[float, float]:
    values = [0.0, *(v for b in bounds for v in finite(b))]
    low, high = min(values), max(values)
    high = max(high, low + LEAST)
    air = 0.05 * (high - low)
    return low - air, high + air


def _fm(entry: Entry) -> str:
    summary = entry.summaries["fm.mean"]
    if summary is None or math.isnan(summary.mean):
        return ""
    half = "" if math.isnan(summary.half_width) else f" ± {100 * summary.half_width:.1f}"
    return f"FM {100 * summary.mean + 0.0:.1f}{half}".replace("-", "−")
