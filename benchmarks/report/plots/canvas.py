"""A figure laid out in points, and its bytes.

Everything that stands beside the axes (labels, leaders, notes) is placed by hand in points (1/72 inch) from the
figure's lower left corner: the same in SVG and PNG, and to the byte.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Affine2D, Transform
from numpy.typing import NDArray

from benchmarks.plain_text import printable
from benchmarks.report.plots.styles import Style
from benchmarks.report.units import PREFIXES

INK, FAINT, GRID = "#222222", "#666666", "#DDDDDD"
TEXT, SMALL = 9.0, 7.5
LINE_HEIGHT = 1.3
DPI = 110
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, which prefers its own copy to the system's
    "font.size": TEXT,
    "text.parse_math": False,  # a $ in a method's name is a $
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "axes.titley": 1.0,  # given, it need not be found anew in every drawing
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "path",  # looks the same wherever it is shown, whatever fonts are there
    "svg.hashsalt": "retain",  # else identifiers in the file are random
    "figure.facecolor": "white",  # pages with a dark background show it too
    "figure.dpi": 100,
}


@contextmanager
def plot_settings() -> Iterator[None]:
    """matplotlib's defaults with SETTINGS, whatever the user's matplotlibrc says; on leaving, all is as before."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


class Canvas:
    """A figure of `width` x `height` points with a title on top and small notes at the bottom."""

    def __init__(self, width: float, height: float, title: str, notes: Sequence[str]):
        lines = [line for note in notes if note for line in wrapped(note, SMALL, width - 20)]
        self.bottom = 8 + len(lines) * SMALL * LINE_HEIGHT
        """Where the notes end and axes may begin."""
        self.width, self.height = width, height + self.bottom
        self.top = self.height - 26
        self.figure = Figure(figsize=(self.width / 72, self.height / 72))
        FigureCanvasAgg(self.figure)
        self.points: Transform = Affine2D().scale(1 / 72) + self.figure.dpi_scale_trans
        self.title = title = printable(title)
        self.text(10, self.height - 9, title, size=10.5, weight="bold", va="top")
        for k, line in enumerate(lines):
            self.text(10, self.bottom - 4 - k * SMALL * LINE_HEIGHT, line, size=SMALL, colour=FAINT, va="top")

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes whose frame has its lower left corner at (x, y)."""
        return self.figure.add_axes((x / self.width, y / self.height, width / self.width, height / self.height))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = TEXT,
        colour: str = INK,
        ha: str = "left",
        va: str = "center_baseline",
        weight: str = "normal",
    ) -> Text:
        return self.figure.text(
            x, y, text, size=size, color=colour, ha=ha, va=va, weight=weight, transform=self.points, zorder=6
        )

    def line(self, x: Sequence[float], y: Sequence[float], colour: str, width: float = 0.7, **settings) -> None:
        """A line in points, such as a leader from a label to what it names."""
        self.figure.add_artist(Line2D(x, y, color=colour, linewidth=width, transform=self.points, **settings))

    def place(self, axes: Axes, x: float, y: float) -> tuple[float, float]:
        """Where data coordinates of `axes` lie, in points. Only right once the axes' limits stand."""
        px, py = (axes.transData - self.points).transform((x, y))
        return float(px), float(py)

    def svg(self) -> bytes:
        return self._saved("svg", {"Title": self.title, "Date": None, "Creator": None})

    def png(self) -> bytes:
        return self._saved("png", {"Software": None})

    def _saved(self, format: str, metadata: dict[str, str | None]) -> bytes:
        content = io.BytesIO()
        self.figure.savefig(content, format=format, dpi=DPI, metadata=metadata)
        return content.getvalue()


_WIDTHS: dict[tuple[str, float, str], float] = {}


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Points from the left to the right end of `text`."""
    key = (text, size, weight)
    if key not in _WIDTHS:
        from matplotlib.textpath import text_to_path

        font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
        _WIDTHS[key] = float(text_to_path.get_text_width_height_descent(text, font, False)[0])
    return _WIDTHS[key]


def wrapped(text: str, size: float, width: float) -> list[str]:
    """`text` in lines of at most `width` points, broken between words."""
    lines = [""]
    for word in printable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def shortened(text: str, size: float, width: float) -> str:
    """`text`, its end replaced by … where it would be wider than `width` points."""
    text = printable(text)
    if text_width(text, size) <= width:
        return text
    while len(text) > 1 and text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def draw_sign(canvas: Canvas, x: float, y: float, style: Style, length: float = 22) -> None:
    """A method's line and marker, as in a legend, from x on at height y (points)."""
    canvas.line((x, x + length), (y, y), style.colour, 1.8, linestyle=style.dash)
    canvas.line((x + length / 2,), (y,), style.colour, **marker(style))


def marker(style: Style, size: float = 6.0) -> dict[str, Any]:
    """Settings of a marker for `Axes.plot` and `Canvas.line`; the thin ones are drawn larger."""
    return {
        "marker": style.marker,
        "markersize": size * (1.25 if style.marker in "PX*d" else 1.0),
        "markerfacecolor": style.colour if style.filled else "white",
        "markeredgecolor": "white" if style.filled else style.colour,
        "markeredgewidth": 0.6 if style.filled else 1.2,
    }


def percent_limits(low: Sequence[float], high: Sequence[float], least: float = 5.0) -> tuple[float, float]:
    """Limits that hold all of `low` and `high` (percent) with some air, at least `least` apart, within 0 to 100.

    Where that is near 0 or 100, a fiftieth more is shown, so that markers there are whole.
    """
    values = [v for v in (*low, *high) if math.isfinite(v)] or [0.0, 100.0]
    bottom, top = max(min(values), 0.0), min(max(values), 100.0)
    air = max(0.08 * (top - bottom), (least - (top - bottom)) / 2, 0.5)
    bottom, top = bottom - air, top + air
    if top > 100:
        bottom, top = min(bottom, 100 - least), 100.0
    if bottom < 0:
        bottom, top = 0.0, max(top, least)
    edge = 0.02 * (top - bottom)
    return bottom - edge * (bottom == 0), top + edge * (top == 100)


def set_percent_y(axes: Axes, limits: tuple[float, float]) -> None:
    """A y axis with these limits whose ticks end at 0 and 100, as accuracies do."""
    axes.set_ylim(*limits)
    ticks = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(*limits)
    axes.yaxis.set_major_locator(FixedLocator([t for t in ticks if 0 <= t <= 100 and limits[0] <= t <= limits[1]]))


def cut_text(limits: tuple[float, float]) -> str:
    """What a note must say of an accuracy axis with these limits, after a blank; empty where that is nothing."""
    return " The accuracy axis does not start at 0." if limits[0] > 0 else ""


def log_limits(values: Sequence[float], least: float = 4.0) -> tuple[float, float]:
    """Limits on a logarithmic axis that hold all `values` (positive) with air, at least a factor of `least` apart."""
    low, high = math.log(min(values)), math.log(max(values))
    air = max(0.2 * (high - low), (math.log(least) - (high - low)) / 2)
    return math.exp(low - air), math.exp(high + air)


def log_ticks(low: float, high: float) -> list[float]:
    """At most six round values between `low` and `high`: as many of each power of ten as there is room for."""
    for steps in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [t for p in powers for s in steps if low <= (t := s * 10.0**p) <= high]
        if len(ticks) <= 6:
            return ticks
    return ticks[:: math.ceil(len(ticks) / 6)]


def set_log_x(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic x axis for `values`, with ticks as 20 k, 50 k, 100 k."""
    axes.set_xscale("log")
    low, high = log_limits(values)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))


def task_ticks(n_tasks: int) -> list[int]:
    """Tasks to number on an axis: all, or where they are many, the first and every fifth or so."""
    step = 1 if n_tasks <= 12 else 5 if n_tasks <= 60 else 10 * math.ceil(n_tasks / 100)
    return list(range(1, n_tasks + 1)) if step == 1 else [1, *range(step, n_tasks + 1, step)]


def si(value: float) -> str:
    """A number with the prefix of its size: 20000 is "20 k"."""
    if value == 0:
        return "0"
    size = max((step for step in PREFIXES if step <= abs(value) * (1 + 1e-9)), default=1)
    return f"{value / size:.3g} {PREFIXES[size]}".strip()


def finite(*arrays: NDArray[np.float64]) -> list[float]:
    """All elements that are numbers."""
    return [float(v) for array in arrays for v in np.ravel(array) if math.isfinite(v)]
