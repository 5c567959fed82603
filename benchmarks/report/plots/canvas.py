"""A figure laid out in points, and its bytes.

Axes, and all that stands beside them (names, leaders, notes), are placed in points (1/72 inch) from the figure's lower
left corner: the same in SVG and PNG, and to the byte.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Transform

from benchmarks.plain_text import printable

INK, FAINT, GRID = "#222222", "#666666", "#DDDDDD"
TEXT, SMALL = 9.0, 7.5
LINE_HEIGHT = 1.3
WIDTH = 680.0
DPI = 110
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, which prefers its own copy to the system's
    "font.size": TEXT,
    "text.parse_math": False,  # a $ in a method's name is a $
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "axes.titlecolor": INK,
    "axes.titlepad": 4.0,
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
}


@contextmanager
def plot_settings() -> Iterator[None]:
    """matplotlib's defaults with SETTINGS, whatever the user's matplotlibrc says; on leaving, all is as before."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


class Canvas:
    """A figure WIDTH points wide with a title on top, `height` points for the axes, and small notes at the bottom."""

    def __init__(self, height: float, title: str, notes: Sequence[str]):
        lines = [line for note in notes if note for line in wrapped(note, SMALL, WIDTH - 20)]
        self.bottom = 8 + len(lines) * SMALL * LINE_HEIGHT
        """Where the notes end and axes may begin."""
        self.height = height + self.bottom
        self.top = self.height - 26
        self.figure = Figure(figsize=(WIDTH / 72, self.height / 72))
        FigureCanvasAgg(self.figure)
        self.points: Transform = Affine2D().scale(1 / 72) + self.figure.dpi_scale_trans
        self.title = title = printable(title)
        self.text(10, self.height - 9, title, size=10.5, weight="bold", va="top")
        for k, line in enumerate(lines):
            self.text(10, self.bottom - 4 - k * SMALL * LINE_HEIGHT, line, size=SMALL, color=FAINT, va="top")

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes whose frame has its lower left corner at (x, y)."""
        return self.figure.add_axes((x / WIDTH, y / self.height, width / WIDTH, height / self.height))

    def grid(
        self, titles: Sequence[str], columns: int, size: tuple[float, float], left: float, step: float, x: str, y: str
    ) -> Iterator[Axes]:
        """Small axes of this `size` below each title, in rows from `left` on, a `step` from one to the next. x, y: labels
        of their axes, which stand with those of the ticks at the left and below alone."""
        for k, title in enumerate(titles):
            row, column = divmod(k, columns)
            bottom = self.top - 24 - size[1] - row * (size[1] + 34)
            axes = self.axes(left + column * step, bottom, *size)
            axes.set_title(title, loc="left")
            is_left, is_last = column == 0, k + columns >= len(titles)
            axes.tick_params(labelleft=is_left, labelbottom=is_last, length=2)
            axes.set_ylabel(y if is_left else "", fontsize=8)
            axes.set_xlabel(x if is_last else "", fontsize=8, labelpad=1)
            yield axes

    def text(self, x: float, y: float, text: str, size: float = TEXT, color: str = INK, **settings: Any) -> Text:
        settings.setdefault("va", "center_baseline")
        return self.figure.text(x, y, text, size=size, color=color, transform=self.points, zorder=6, **settings)

    def line(self, x: Sequence[float], y: Sequence[float], **settings: Any) -> None:
        """A line in points, such as a leader from a name to what it names."""
        self.figure.add_artist(Line2D(x, y, transform=self.points, **settings))

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


@cache
def text_width(text: str, size: float) -> float:
    """Points from the left to the right end of `text`."""
    font = FontProperties(family="DejaVu Sans", size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, False)[0])


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
