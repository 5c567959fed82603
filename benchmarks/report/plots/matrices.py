"""Accuracy matrices as heat maps, one small one a method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, FuncFormatter
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from benchmarks.report.plots.canvas import FAINT, INK, SMALL, Canvas, shortened, task_ticks
from benchmarks.report.plots.scene import Array, Entry, Scene

WIDTH = 680.0
GAP = 0.35
"""Between the untrained model's row and the others, in rows."""
NO_ROOM = 14.0
"""Below this width in points a cell holds no number."""
AS_IMAGE = 20
"""From so many tasks on a matrix is one image: as an element a cell, 300 tasks made a drawing of 40 MB."""
# Rises in lightness from end to end, so that it reads the same in grey and for the colour-blind.
COLOURS = colormaps["cividis"]

HATCHED: dict[str, Any] = {"facecolor": "white", "edgecolor": "#AAAAAA", "hatch": "////"}
"""A cell that was not evaluated: unlike any accuracy."""


def draw(scene: Scene) -> Canvas | None:
    """Small multiples: mean over seeds, the same colours in all; None without a result."""
    if not scene.entries:
        return None
    n = scene.n_tasks
    columns = 4 if n <= 6 else 3
    rows = math.ceil(len(scene.entries) / columns)
    width = (WIDTH - 66 - 14 * columns) / columns
    cell = min(width / n, 30.0)
    tall = (n + 1 + GAP) * min(cell, 22.0 if n <= 10 else 12.0)
    step = tall + 34
    notes = [
        f"{_seeds(scene)}; cell: % of the test images of one task (column) after so many tasks (row). Right of and "
        "above the stepped line: tasks not yet learned.",
        scene.absent_text(),
    ]
    canvas = Canvas(WIDTH, rows * step + 78, f"{scene.heading}: accuracy matrices", notes)
    for k, entry in enumerate(scene.entries):
        row, column = divmod(k, columns)
        y = canvas.top - 34 - row * step - tall + 6
        axes = canvas.axes(62 + column * (width + 14), y, cell * n, tall)
        mean = np.mean([np.divide(*record.matrix.arrays) for record in entry.records], axis=0)
        _heat_map(axes, mean, cell)
        _describe(axes, entry, n, width, left=column == 0, below=k + columns >= len(scene.entries))
        if column == 0:
            canvas.text(12, y + tall / 2, "tasks learned", size=8, ha="center", va="center").set_rotation(90)
    _scale(canvas, canvas.bottom + 16)
    return canvas


def _seeds(scene: Scene) -> str:
    most = max(len(entry.records) for entry in scene.entries)
    return f"Mean over {most} seeds" if most > 1 else "One seed"


def _edges(n: int) -> Array:
    """Upper edges of the rows and, last, the lower edge; y grows downwards."""
    return np.array([0.0, *(1 + GAP + k for k in range(n + 1))])


def _heat_map(axes: Axes, mean: Array, cell: float) -> None:
    """Rows from the untrained model (set apart on top) to the last task; cells not evaluated are hatched."""
    n = mean.shape[1]
    edges = _edges(n)
    x = np.arange(n + 1.0)
    axes.set_xlim(0, n)
    axes.set_ylim(edges[-1], 0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    edge, wide = ("white", 0.6) if cell >= NO_ROOM else ("face", 0.1)
    for rows, y in ((mean[:1], np.array([0.0, 1.0])), (mean[1:], edges[1:])):
        colours: dict[str, Any] = {"cmap": COLOURS, "vmin": 0, "vmax": 1, "zorder": 2}
        if n >= AS_IMAGE:
            extent = (0, n, y[-1], y[0])
            axes.imshow(rows, extent=extent, aspect="auto", interpolation="none", origin="upper", **colours)
        else:
            axes.pcolormesh(x, y, np.ma.masked_invalid(rows), edgecolors=edge, linewidth=wide, **colours)
    if cell >= NO_ROOM:
        holes = [(j, j + 1, i) for i, j in zip(*np.nonzero(np.isnan(mean)), strict=True)]
    else:
        holes = [(start, stop, i) for i, row in enumerate(np.isnan(mean)) for start, stop in _stretches(row)]
    _hatch(axes, [(start, edges[i], stop - start) for start, stop, i in holes], 0.4 if cell >= NO_ROOM else 0.0)
    if cell >= NO_ROOM:
        for (i, j), value in np.ndenumerate(mean):
            if not np.isnan(value):
                middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": ink_on(COLOURS(value))}
                axes.text(j + 0.5, float(edges[i]) + 0.5, in_short(value), size=7, zorder=4, **middle)
    # Between what was learned and what was not yet: the diagonal as steps.
    steps = [(1.0, edges[1])]
    for k in range(1, n):
        steps += [(k, edges[k] + 1), (k + 1, edges[k] + 1)]
    axes.plot(*zip(*steps, strict=True), color="white", linewidth=2.6, zorder=3)
    axes.plot(*zip(*steps, strict=True), color="black", linewidth=1.2, zorder=3.1)


def _hatch(axes: Axes, bars: list[tuple[int, float, int]], outline: float) -> None:
    """One hatched shape for all bars of cells, each by its upper left corner and its width."""
    if bars:
        shapes = [Path.unit_rectangle().transformed(Affine2D().scale(w, 1).translate(x, y)) for x, y, w in bars]
        path = Path.make_compound_path(*shapes)
        axes.add_patch(PathPatch(path, linewidth=outline, zorder=2, **HATCHED))


def _stretches(row: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where `row` is true without a gap: first index and the one after the last."""
    ends = np.flatnonzero(np.diff([False, *row, False]))
    return list(zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True))


def ink_on(colour: Sequence[float]) -> str:
    """Black or white, whichever stands out more from `colour` (red, green, blue from 0 to 1): at least 4.5:1 (WCAG 2.1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = float(np.dot((0.2126, 0.7152, 0.0722), linear))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def in_short(fraction: float) -> str:
    """Percent without decimals, where 0 and 100 mean exactly that: else <1 and >99."""
    percent = 100 * fraction
    if 0 < percent < 0.5:
        return "<1"
    if 99.5 <= percent < 100:
        return ">99"
    return f"{percent:.0f}"


def _describe(axes: Axes, entry: Entry, n: int, room: float, left: bool, below: bool) -> None:
    axes.set_title(shortened(entry.label, 9, room), loc="left", fontsize=9, pad=4, color=INK)
    edges = _edges(n)
    ticks = task_ticks(n)
    axes.xaxis.set_major_locator(FixedLocator([t - 0.5 for t in ticks]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda _, k: str(ticks[k or 0])))
    rows = [0, *(t for t in ticks if t > 1 or n <= 12)]  # where rows are low, 1 would lie on "untrained"
    axes.yaxis.set_major_locator(FixedLocator([edges[i] + 0.5 for i in rows]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda _, k: str(rows[k]) if k else "untrained"))
    axes.tick_params(length=0, labelsize=7, labelleft=left, labelbottom=below, pad=2)
    if below:
        axes.set_xlabel("tested on task", fontsize=8, labelpad=1)


def _scale(canvas: Canvas, y: float) -> None:
    """What the colours mean. Drawn as eleven boxes: a colour bar would be a picture inside the SVG."""
    side, x = 20.0, 62.0
    for k in range(11):
        colour = COLOURS(k / 10)
        canvas.figure.add_artist(
            Rectangle((x + k * side, y), side, 9, facecolor=colour, edgecolor="none", transform=canvas.points)
        )
        if k % 2 == 0:
            canvas.text(x + (k + 0.5) * side, y - 6, f"{10 * k}%", size=7, ha="center", va="center")
    x += 12.5 * side
    canvas.figure.add_artist(Rectangle((x, y), side, 9, linewidth=0.4, transform=canvas.points, **HATCHED))
    canvas.text(x + side + 5, y + 4.5, "not evaluated", size=SMALL, colour=FAINT, va="center")
