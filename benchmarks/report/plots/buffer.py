"""Accuracy against the number of stored examples, where a suite has one method with several."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.report.plots.canvas import (
    LINE_HEIGHT,
    TEXT,
    Canvas,
    cut_text,
    draw_sign,
    log_limits,
    marker,
    percent_limits,
    set_percent_y,
    shortened,
)
from benchmarks.report.plots.labels import spread
from benchmarks.report.plots.scene import Entry, Scene
from benchmarks.report.plots.styles import style_of

WIDTH, HEIGHT, MARGIN = 680.0, 260.0, 150.0


def draw(scene: Scene) -> Canvas | None:
    """A line a method; None where no method stands in the suite with two sizes of its buffer."""
    found = families(scene)
    if not found:
        return None
    bounds = [e for e in scene.entries if e.role != "method" and math.isfinite(_acc(e)[0])]
    shown = [*(e for _, _, sizes in found for e in sizes.values()), *bounds]
    accuracies = [_acc(entry) for entry in shown]
    limits = percent_limits([m - h for m, h in accuracies], [m + h for m, h in accuracies])
    notes = [
        f"{scene.seeds_text('bars')} Level lines: bounds, which have no buffer.{cut_text(limits)}",
        scene.absent_text(),
    ]
    canvas = Canvas(WIDTH, HEIGHT + 78, f"{scene.heading}: accuracy and buffer size", notes)
    axes = canvas.axes(52, canvas.bottom + 40, WIDTH - 52 - MARGIN, HEIGHT)
    set_percent_y(axes, limits)
    axes.set_ylabel("ACC, average accuracy after the last task, %")
    axes.set_xlabel("examples stored in all (log scale)")
    sizes = sorted({size for *_, by_size in found for size in by_size})
    axes.set_xscale("log")
    axes.set_xlim(*log_limits(sizes))
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    right = axes.get_xlim()[1]
    labels = []
    for base, name, by_size in found:
        style = style_of(base)
        mean, half = np.array([_acc(entry) for entry in by_size.values()]).T
        x = np.array(list(by_size), dtype=float)
        axes.plot(x, mean, color=style.colour, linewidth=1.7, linestyle=style.dash, zorder=3, **marker(style))
        low, high = np.maximum(mean - half, 0), np.minimum(mean + half, 100)
        axes.vlines(x, low, high, color=style.colour, linewidth=1.2, zorder=3)
        labels.append((name, style, canvas.place(axes, x[-1], mean[-1])))
    for entry in bounds:
        mean, half = _acc(entry)
        axes.axhspan(max(mean - half, 0), min(mean + half, 100), color=entry.style.colour, alpha=0.1, linewidth=0)
        axes.axhline(mean, color=entry.style.colour, linewidth=1.3, zorder=2)
        labels.append((entry.label, entry.style, canvas.place(axes, right, mean)))
    edge = canvas.place(axes, right, limits[0])[0]
    bottom, top = (canvas.place(axes, right, limit)[1] for limit in limits)
    places = spread([end[1] for _, _, end in labels], [TEXT * LINE_HEIGHT] * len(labels), bottom, top)
    for (name, style, end), y in zip(labels, places, strict=True):
        canvas.line((end[0], edge, edge + 14), (end[1], end[1], y), style.colour)
        draw_sign(canvas, edge + 14, y, style)
        canvas.text(edge + 41, y, shortened(name, TEXT, MARGIN - 45))
    return canvas


def families(scene: Scene) -> list[tuple[str, str, dict[int, Entry]]]:
    """Groups of entries that differ in nothing but the size of their buffer, in the suite's order: the method, its name
    in the plot, and the entries by rising size."""
    entries = {entry.method: entry for entry in scene.entries if math.isfinite(_acc(entry)[0])}
    found = scene.runs.buffer_sizes(entries)
    bases = [base for base, _ in found]
    return [
        # Two groups of one method differ in some hyperparameter: only their entries' names tell them apart.
        (
            base,
            base if bases.count(base) == 1 else f"{base} ({next(iter(sizes.values()))} …)",
            {size: entries[method] for size, method in sizes.items()},
        )
        for base, sizes in found
    ]


def _acc(entry: Entry) -> tuple[float, float]:
    """ACC in percent and the half width of its interval, 0 where there is none."""
    summary = entry.summaries["acc"]
    if summary is None:
        return math.nan, 0.0
    return 100 * summary.mean, 100 * (0.0 if math.isnan(summary.half_width) else summary.half_width)
