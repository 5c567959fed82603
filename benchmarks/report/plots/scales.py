"""Axes of accuracies, costs and tasks: their limits and ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from benchmarks.records.units import si

Limits = tuple[float, float]


def finite(*arrays: ArrayLike) -> list[float]:
    """All elements that are numbers."""
    return [float(v) for array in arrays for v in np.ravel(array) if math.isfinite(v)]


def percent_limits(values: ArrayLike, halves: ArrayLike = 0.0, least: float = 5.0) -> Limits:
    """Limits that hold all `values` ± `halves` (percent) with some air, at least `least` apart, within 0 to 100.

    Where that is near 0 or 100, a fiftieth more is shown, so that markers there are whole.
    """
    values, halves = np.asarray(values, dtype=float), np.nan_to_num(np.asarray(halves, dtype=float))
    ends = finite(values - halves, values + halves) or [0.0, 100.0]
    bottom, top = max(min(ends), 0.0), min(max(ends), 100.0)
    air = max(0.08 * (top - bottom), (least - (top - bottom)) / 2, 0.5)
    bottom, top = bottom - air, top + air
    if top > 100:
        bottom, top = min(bottom, 100 - least), 100.0
    if bottom < 0:
        bottom, top = 0.0, max(top, least)
    edge = 0.02 * (top - bottom)
    return bottom - edge * (bottom == 0), top + edge * (top == 100)


def set_percent_y(axes: Axes, limits: Limits, label: str = "") -> None:
    """A y axis with these limits whose ticks end at 0 and 100, as accuracies do."""
    ticks = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(*limits)
    axes.set_yticks([t for t in ticks if 0 <= t <= 100 and limits[0] <= t <= limits[1]])
    axes.set(ylim=limits, ylabel=label)


def cut_text(limits: Limits) -> str:
    """What a note must say of an accuracy axis with these limits; empty where that is nothing."""
    return "The accuracy axis does not start at 0." if limits[0] > 0 else ""


def log_limits(values: Sequence[float], least: float = 4.0) -> Limits:
    """Limits on a logarithmic axis that hold all `values` (positive) with air, at least a factor of `least` apart."""
    low, high = math.log(min(values)), math.log(max(values))
    air = max(0.2 * (high - low), (math.log(least) - (high - low)) / 2)
    return math.exp(low - air), math.exp(high + air)


def log_ticks(low: float, high: float) -> list[float]:
    """At most five round values between `low` and `high`: as many of each power of ten as there is room for."""
    for steps in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [t for p in powers for s in steps if low <= (t := s * 10.0**p) <= high]
        if len(ticks) <= 5:
            return ticks
    return ticks[:: math.ceil(len(ticks) / 5)]


def set_log(
    axes: Axes,
    which: Literal["x", "y"],
    values: Sequence[float],
    ticks: Sequence[float] | None = None,
    text: Callable[[float], str] = si,
) -> None:
    """A logarithmic axis for `values`, with round ticks as 20 k, 50 k, 100 k or with those given."""
    low, high = log_limits(values)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    shown = log_ticks(low, high) if ticks is None else ticks
    axis.set_ticks(shown, [text(tick) for tick in shown])
    axis.set_minor_locator(NullLocator())


def set_cost_y(axes: Axes, values: Sequence[float], label: str, log_from: float) -> None:
    """From 0, so that twice the height is twice the cost; logarithmic where that would flatten most lines: where `values`
    differ by more than `log_from`."""
    values = [value for value in values if value > 0]
    if not values:
        axes.set(ylim=(0, 1), yticks=[], ylabel=f"{label}\n(not recorded)")
    elif max(values) > log_from * min(values):
        set_log(axes, "y", values)
        axes.set_ylabel(f"{label}\n(log scale)")
    else:
        high = 1.15 * max(values)
        ticks = [tick for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(0, high) if 0 <= tick < high]
        axes.set_yticks(ticks, [si(tick) for tick in ticks])
        axes.set(ylim=(0, high), ylabel=label)


def task_ticks(n_tasks: int) -> list[int]:
    """Tasks to number on an axis: all, or where they are many, the first and every fifth or so."""
    step = 1 if n_tasks <= 12 else 5 if n_tasks <= 60 else 10 * math.ceil(n_tasks / 100)
    return list(range(1, n_tasks + 1)) if step == 1 else [1, *range(step, n_tasks + 1, step)]
