"""Accuracy matrices as heat maps, one small one a method."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from benchmarks.report.plots.canvas import FAINT, SMALL, WIDTH, Canvas, shortened
from benchmarks.report.plots.scales import task_ticks
from benchmarks.report.plots.scene import Array, Scene

LEFT, GAP = 62.0, 14.0
NO_ROOM = 14.0
"""Below this width in points a cell holds no number."""
AS_IMAGE = 20
"""From so many tasks on a matrix is one image: as an element a cell, 300 tasks made a drawing of 40 MB."""
# Rises in lightness from end to end, so that it reads the same in grey and for the colour-blind.
COLOURS: dict[str, Any] = {"cmap": colormaps["cividis"], "vmin": 0, "vmax": 1}
BRIGHT = 0.47
"""Black stands out more from colours of values above it, white from the others: at least 4.5:1 (WCAG 2.1)."""
HATCHED: dict[str, Any] = {"facecolor": "white", "edgecolor": "#AAAAAA", "hatch": "////"}
"""What lies behind cells, and is seen where one was not evaluated: unlike any accuracy."""


def draw(scene: Scene) -> Canvas | None:
    """Small multiples: mean over seeds, the same colours in all; None without a result."""
    if not scene.entries:
        return None
    n = scene.n_tasks
    columns = 4 if n <= 6 else 3
    room = (WIDTH - LEFT) / columns - GAP
    cell = min(room / n, 30.0)
    tall = (n + 1) * min(cell, 22.0 if n <= 10 else 12.0)
    most = max(len(entry.records) for entry in scene.entries)
    notes = [
        f"{f'Mean over {most} seeds' if most > 1 else 'One seed'}; cell: % of the test images of one task (column) after "
        "so many tasks (row). Right of and above the stepped line: tasks not yet learned.",
        scene.absent_text(),
    ]
    height = math.ceil(len(scene.entries) / columns) * (tall + 34) + 76
    canvas = Canvas(height, f"{scene.heading}: accuracy matrices", notes)
    titles = [shortened(entry.label, 9, room) for entry in scene.entries]
    grid = canvas.grid(titles, columns, (cell * n, tall), LEFT, room + GAP, "tested on task", "tasks learned")
    for axes, entry in zip(grid, scene.entries, strict=True):
        _heat_map(axes, np.mean([np.divide(*record.matrix.arrays) for record in entry.records], axis=0), cell)
    _legend(canvas, canvas.bottom + 16)
    return canvas


def _heat_map(axes: Axes, mean: Array, cell: float) -> None:
    """Rows from the untrained model (set apart on top) to the last task; cells not evaluated are hatched."""
    n = mean.shape[1]
    if np.isnan(mean).any():
        axes.patch.set(**HATCHED)
    if n >= AS_IMAGE:
        axes.imshow(mean, extent=(0, n, n + 1, 0), aspect="auto", interpolation="none", zorder=2, **COLOURS)
    else:
        lines: dict[str, Any] = (
            {"edgecolors": "white", "linewidth": 0.6} if cell >= NO_ROOM else {"edgecolors": "face", "linewidth": 0.1}
        )
        axes.pcolormesh(np.ma.masked_invalid(mean), zorder=2, **lines, **COLOURS)
    if cell >= NO_ROOM:
        for (i, j), value in np.ndenumerate(mean):
            if not np.isnan(value):
                middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": ink_on(value)}
                axes.text(j + 0.5, i + 0.5, in_short(value), size=7, zorder=4, **middle)
    axes.axhline(1, color="white", linewidth=4, zorder=3)
    # Between what was learned and what was not yet: the diagonal as steps.
    steps = [(1, 1), *((k + right, k + 1) for k in range(1, n) for right in (0, 1))]
    axes.plot(*zip(*steps, strict=True), color="white", linewidth=2.6, zorder=3)
    axes.plot(*zip(*steps, strict=True), color="black", linewidth=1.2, zorder=3.1)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    ticks = task_ticks(n)
    rows = [t for t in ticks if t > 1 or n <= 12]  # where rows are low, 1 would lie on "untrained"
    axes.set_xticks([t - 0.5 for t in ticks], [str(t) for t in ticks])
    axes.set_yticks([0.5, *(t + 0.5 for t in rows)], ["untrained", *map(str, rows)])
    axes.tick_params(length=0, labelsize=7, pad=2)
    axes.set(xlim=(0, n), ylim=(n + 1, 0))


def ink_on(fraction: float) -> str:
    """Black or white, whichever stands out more from the colour of an accuracy."""
    return "black" if fraction > BRIGHT else "white"


def in_short(fraction: float) -> str:
    """Percent without decimals, where 0 and 100 mean exactly that: else <1 and >99."""
    percent = 100 * fraction
    if 0 < percent < 0.5:
        return "<1"
    if 99.5 <= percent < 100:
        return ">99"
    return f"{percent:.0f}"


def _legend(canvas: Canvas, y: float) -> None:
    """What the colours mean. Eleven cells: a colour bar would be a picture inside the SVG."""
    scale, hatched = canvas.axes(LEFT, y, 220, 9), canvas.axes(LEFT + 250, y, 20, 9)
    scale.pcolormesh(np.linspace(0, 1, 11)[None], edgecolors="face", linewidth=0.1, **COLOURS)
    scale.set_xticks(np.arange(0.5, 11, 2), [f"{value}%" for value in range(0, 101, 20)])
    scale.tick_params(length=0, labelsize=7, pad=2)
    hatched.patch.set(**HATCHED)
    hatched.set_xticks([])
    for axes in (scale, hatched):
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[:].set_visible(False)
    canvas.text(LEFT + 275, y + 4.5, "not evaluated", size=SMALL, color=FAINT, va="center")
