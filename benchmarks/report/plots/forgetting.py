"""How much of each task is forgotten at the end, one small panel a method."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.ticker import MaxNLocator

from benchmarks.report.plots.canvas import INK, SMALL, WIDTH, Canvas, shortened, text_width
from benchmarks.report.plots.scales import task_ticks
from benchmarks.report.plots.scene import Array, Entry, Scene

LEFT, TALL, GAP = 50.0, 96.0, 12.0
LEAST = 10.0
"""The least height of the axis, in percentage points: a smaller difference should not fill a panel."""


def draw(scene: Scene) -> Canvas | None:
    """Small multiples with one axis; None without a result or where there is one task, which nothing follows."""
    if not scene.entries or scene.n_tasks < 2:
        return None
    columns = 4 if scene.n_tasks <= 12 else 3
    width = (WIDTH - LEFT) / columns - GAP
    bars = [_bars(entry) for entry in scene.entries]
    notes = [
        f"{scene.seeds_text('bars')} Forgetting of a task: its best accuracy between learning it and the last task but "
        "one, minus its accuracy after the last. Below 0: it improved. FM is the mean over tasks.",
        scene.absent_text(),
    ]
    height = math.ceil(len(bars) / columns) * (TALL + 34) + 56
    canvas = Canvas(height, f"{scene.heading}: forgetting of each task", notes)
    titles = [shortened(e.label, 9, width - text_width(_fm(e), SMALL) - 4) for e in scene.entries]
    grid = canvas.grid(titles, columns, (width, TALL), LEFT, width + GAP, "task", "forgetting, pp")
    x = np.arange(1, scene.n_tasks)
    for axes, entry, (mean, low, high) in zip(grid, scene.entries, bars, strict=True):
        axes.set_title(_fm(entry), loc="right", fontsize=SMALL)
        axes.bar(x, mean, width=0.66, color=entry.style.colour, zorder=2)
        axes.vlines(x, low, high, color="white", linewidth=2.4, zorder=3)  # else not seen on a dark bar
        axes.vlines(x, low, high, color=INK, linewidth=1.2, zorder=3)
        axes.axhline(0, color=INK, linewidth=0.8, zorder=4)
        axes.grid(axis="x", visible=False)
        axes.set(xticks=task_ticks(scene.n_tasks - 1), xlim=(0.4, scene.n_tasks - 0.4), ylim=_limits(bars))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    return canvas


def _bars(entry: Entry) -> tuple[Array, Array, Array]:
    """Means and the ends of their intervals within what forgetting can be, in percentage points, of all tasks but the
    last; the ends are the mean where there is one seed."""
    mean, half = (curve[:-1] for curve in entry.over_seeds("forgetting", 100))
    half = np.nan_to_num(half)
    return mean, np.maximum(mean - half, -100.0), np.minimum(mean + half, 100.0)


def _limits(bars: list[tuple[Array, Array, Array]]) -> tuple[float, float]:
    ends = np.nan_to_num(bars)  # 0 is shown in any case
    low, high = min(0.0, ends.min()), max(0.0, ends.max())
    high = max(high, low + LEAST)
    air = 0.05 * (high - low)
    return low - air, high + air


def _fm(entry: Entry) -> str:
    summary = entry.summaries["fm.mean"]
    if summary is None or math.isnan(summary.mean):
        return "FM n/a"  # else an empty panel would say that nothing is forgotten
    half = "" if math.isnan(summary.half_width) else f" ± {100 * summary.half_width:.1f}"
    return f"FM {100 * summary.mean + 0.0:.1f}{half}".replace("-", "−")
