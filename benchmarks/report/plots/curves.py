"""Lines over the tasks, each with its name at the right, and the axes on which costs stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.report.plots.canvas import (
    INK,
    LINE_HEIGHT,
    SMALL,
    TEXT,
    Canvas,
    draw_sign,
    finite,
    log_limits,
    log_ticks,
    marker,
    percent_limits,
    set_percent_y,
    shortened,
    si,
    task_ticks,
    text_width,
    wrapped,
)
from benchmarks.report.plots.labels import spread
from benchmarks.report.plots.scene import Array
from benchmarks.report.plots.styles import Style

WIDTH, LEFT, MARGIN = 680.0, 66.0, 166.0
COINCIDE = 0.01
"""Lines that are nowhere further apart than this part of the axis cannot be seen apart."""
LOG_FROM = 50.0
"""Costs that differ by more than this factor stand on a logarithmic axis."""
STRIPE = 2.4
"""Length of a stripe where lines coincide, in line widths."""
SHARED = Style("#444444", "", (0, ()))
"""Methods that cost the same are one line, in a grey that is no method's."""


class Named(Protocol):
    """Whose a line is. label: the method's name with what a reader must know of it."""

    @property
    def method(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def style(self) -> Style: ...


@dataclass(frozen=True)
class Curve:
    """One line of a panel: means after each task, half widths of their intervals, and whose they are."""

    entries: tuple[Named, ...]
    mean: Array
    half: Array

    @property
    def style(self) -> Style:
        return self.entries[0].style if len(self.entries) == 1 else SHARED


def same_together(curves: Sequence[Curve]) -> list[Curve]:
    """One curve for all that have the same means and intervals after every task."""
    groups: dict[tuple, list[Curve]] = {}
    for curve in curves:
        key = (*np.round(curve.mean, 6), *np.nan_to_num(np.round(curve.half, 6)))
        groups.setdefault(key, []).append(curve)
    return [
        Curve(tuple(e for c in group for e in c.entries), group[0].mean, group[0].half) for group in groups.values()
    ]


@dataclass(frozen=True)
class Panel:
    """One of the axes that stand below each other, `height` points high. percent: of accuracies, else of costs from 0,
    on a logarithmic axis where they differ by more than `log_from`."""

    label: str
    curves: list[Curve]
    height: float
    percent: bool = False
    log_from: float = LOG_FROM


def accuracy_limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Of an axis that holds the curves with their bands."""
    halves = [np.nan_to_num(curve.half) for curve in curves]
    low, high = (finite(*(c.mean + sign * half for c, half in zip(curves, halves))) for sign in (-1, 1))
    return percent_limits(low, high)


def draw_panels(title: str, panels: Sequence[Panel], n_tasks: int, between: float, notes: Sequence[str]) -> Canvas:
    """The panels below each other with one axis of tasks, `between` points apart."""
    height = sum(panel.height + between for panel in panels) + 60
    canvas = Canvas(WIDTH, height, title, notes)
    y = canvas.top + between - 10
    for panel in panels:
        y -= panel.height + between
        axes = canvas.axes(LEFT, y, WIDTH - LEFT - MARGIN, panel.height)
        if panel.percent:
            set_percent_y(axes, accuracy_limits(panel.curves))
            axes.set_ylabel(panel.label)
        else:
            cost_axis(axes, panel.curves, panel.label, panel.log_from)
        draw_lines(canvas, axes, panel.curves, n_tasks, most=100.0 if panel.percent else np.inf)
        axes.tick_params(labelbottom=panel is panels[-1])
    axes.set_xlabel("tasks learned")
    return canvas


def cost_axis(axes: Axes, curves: list[Curve], label: str, log_from: float = LOG_FROM) -> None:
    """From 0, so that twice the height is twice the cost; logarithmic where that would flatten most lines: where they
    differ by more than `log_from`."""
    values = [v for c in curves for v in finite(c.mean) if v > 0]
    if not values:
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        axes.set_ylabel(f"{label}\n(not recorded)")
        return
    if max(values) > log_from * min(values):
        axes.set_yscale("log")
        low, high = log_limits(values)
        ticks = log_ticks(low, high)
        label += "\n(log scale)"
    else:
        low, high = 0.0, 1.15 * max(values)
        step = 10.0 ** np.floor(np.log10(high / 3))
        step *= max(k for k in (1, 2, 5) if high / (k * step) >= 3)
        ticks = list(np.arange(0, high, step))
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    axes.set_ylabel(label)


def draw_lines(canvas: Canvas, axes: Axes, curves: list[Curve], n_tasks: int, most: float = np.inf) -> None:
    """The curves with bands up to `most`; to the right of the axes a label for each, at the height where it ends."""
    x = np.arange(1, n_tasks + 1)
    air = max(0.04 * (n_tasks - 1), 0.15)
    axes.set_xlim(1 - air, n_tasks + air)
    axes.xaxis.set_major_locator(FixedLocator(task_ticks(n_tasks)))
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
            axes.plot(
                x, curve.mean, color=style.colour, linewidth=1.7, linestyle=dash, zorder=3,
                **marker(style, 5.0 + 2.2 * (rest - k)),
            )  # fmt: skip
    _labels(canvas, axes, [c for c in curves if np.isfinite(c.mean).any()], (low, high))


def coinciding(curves: Sequence[Curve], distance: float) -> list[list[Curve]]:
    """Curves in groups: each curve with the first whose mean is within `distance` of its own after every task."""
    groups: list[list[Curve]] = []
    for curve in curves:
        for group in groups:
            if np.nan_to_num(np.abs(group[0].mean - curve.mean)).max() <= distance:
                group.append(curve)
                break
        else:
            groups.append([curve])
    return groups


def _labels(canvas: Canvas, axes: Axes, curves: list[Curve], limits: tuple[float, float]) -> None:
    right = canvas.place(axes, axes.get_xlim()[1], limits[0])[0]
    bottom, top = (canvas.place(axes, 1, limit)[1] for limit in limits)
    texts = [_text(curve) for curve in curves]
    ends = []
    for curve in curves:
        last = int(np.flatnonzero(np.isfinite(curve.mean))[-1])
        ends.append(canvas.place(axes, last + 1, float(curve.mean[last])))
    heights = [label_height(curve) for curve in curves]
    places = spread([y for _, y in ends], heights, bottom - 4, top + 6)
    for curve, (lines, size), end, y in zip(curves, texts, ends, places, strict=True):
        canvas.line((end[0], right, right + 14), (end[1], end[1], y), curve.style.colour)
        draw_sign(canvas, right + 14, y, curve.style)
        for k, line in enumerate(lines):
            canvas.text(right + 41, y + ((len(lines) - 1) / 2 - k) * size * LINE_HEIGHT, line, size=size, colour=INK)


def label_height(curve: Curve) -> float:
    lines, size = _text(curve)
    return len(lines) * size * LINE_HEIGHT + 1


def _text(curve: Curve) -> tuple[list[str], float]:
    """Lines and their size: a name, or the names that share a curve."""
    one = len(curve.entries) == 1
    names = curve.entries[0].label if one else ", ".join(entry.method for entry in curve.entries)
    room = MARGIN - 48
    size = TEXT if text_width(names, TEXT) <= room else SMALL
    return [shortened(line, size, room) for line in wrapped(names, size, room)], size
