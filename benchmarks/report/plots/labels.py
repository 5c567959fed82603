"""Names beside axes, each with its sign, at the height of what it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from benchmarks.report.plots.canvas import LINE_HEIGHT, SMALL, TEXT, WIDTH, Canvas, shortened, text_width, wrapped
from benchmarks.report.plots.styles import Style

MARGIN = 166.0
"""Points to the right of axes for names."""
ROOM = MARGIN - 48
SIGN = 22.0
"""Length of a sign."""


@dataclass(frozen=True)
class Name:
    """What stands beside axes. x, y: where what it names ends, in data coordinates."""

    text: str
    style: Style
    x: float
    y: float
    bold: bool = False

    @cached_property
    def size(self) -> float:
        return TEXT if text_width(self.text, TEXT) <= ROOM else SMALL

    @cached_property
    def lines(self) -> list[str]:
        return [shortened(line, self.size, ROOM) for line in wrapped(self.text, self.size, ROOM)]

    @property
    def height(self) -> float:
        return len(self.lines) * self.size * LINE_HEIGHT + 1


def write_names(canvas: Canvas, axes: Axes, names: Sequence[Name]) -> None:
    """To the right of `axes`, whose limits stand, with a leader to each from where it belongs."""
    frame = axes.get_position()
    right, low, high = frame.x1 * WIDTH, frame.y0 * canvas.height, frame.y1 * canvas.height
    ends = [canvas.place(axes, name.x, name.y) for name in names]
    places = spread([y for _, y in ends], [name.height for name in names], low - 4, high + 6)
    for name, end, y in zip(names, ends, places, strict=True):
        style = name.style
        canvas.line((end[0], right, right + 14), (end[1], end[1], y), color=style.colour, linewidth=0.7)
        canvas.line((right + 14, right + 14 + SIGN), (y, y), color=style.colour, linewidth=1.8, linestyle=style.dash)
        canvas.line((right + 14 + SIGN / 2,), (y,), **marker(style))
        step, weight = name.size * LINE_HEIGHT, "bold" if name.bold else "normal"
        for k, line in enumerate(name.lines):
            canvas.text(right + 41, y + ((len(name.lines) - 1) / 2 - k) * step, line, size=name.size, weight=weight)


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Centres of blocks of these `heights`, one above the other between `low` and `high` without overlap, each as
    near as can be to where it is `wanted` and in the same order; equal wishes keep their order from the top down.

    Where they do not fit they begin at `high` and run below `low`.
    """
    order = np.argsort(-np.asarray(wanted), kind="stable")
    tall = np.asarray(heights, dtype=float)[order]
    above = np.cumsum(tall) - tall / 2
    # Moved down by what stands above it, a block may lie no higher than the one before: isotonic regression.
    tops = isotonic_regression(np.asarray(wanted)[order] + above, increasing=False).x
    centres = np.empty(len(tall))
    centres[order] = np.minimum(np.maximum(tops, low + tall.sum()), high) - above
    return centres.tolist()


def marker(style: Style, size: float = 6.0) -> dict[str, Any]:
    """Settings of a line's marker; the thin ones are drawn larger."""
    return {
        "color": style.colour,
        "marker": style.marker,
        "markersize": size * (1.25 if style.marker in "PX*d" else 1.0),
        "markerfacecolor": style.colour if style.filled else "white",
        "markeredgecolor": "white" if style.filled else style.colour,
        "markeredgewidth": 0.6 if style.filled else 1.2,
    }
