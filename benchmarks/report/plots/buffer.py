"""Accuracy against the number of stored examples, where a suite has one method with several."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.report.plots.canvas import WIDTH, Canvas
from benchmarks.report.plots.labels import MARGIN, Name, marker, write_names
from benchmarks.report.plots.scales import cut_text, percent_limits, set_log, set_percent_y
from benchmarks.report.plots.scene import Entry, Scene
from benchmarks.report.plots.styles import style_of

HEIGHT, LEFT = 260.0, 52.0


def draw(scene: Scene) -> Canvas | None:
    """A line a method; None where no method stands in the suite with two sizes of its buffer."""
    found = families(scene)
    if not found:
        return None
    bounds = [e for e in scene.entries if e.role != "method" and math.isfinite(e.percent("acc")[0])]
    shown = [*(e for _, _, sizes in found for e in sizes.values()), *bounds]
    limits = percent_limits(*np.transpose([entry.percent("acc") for entry in shown]))
    notes = [
        f"{scene.seeds_text('bars')} Level lines: bounds, which have no buffer. {cut_text(limits)}",
        scene.absent_text(),
    ]
    canvas = Canvas(HEIGHT + 78, f"{scene.heading}: accuracy and buffer size", notes)
    axes = canvas.axes(LEFT, canvas.bottom + 40, WIDTH - LEFT - MARGIN, HEIGHT)
    set_percent_y(axes, limits, "ACC, average accuracy after the last task, %")
    axes.set_xlabel("examples stored in all (log scale)")
    sizes = sorted({size for *_, by_size in found for size in by_size})
    set_log(axes, "x", sizes, sizes, "{:,}".format)
    names = []
    for base, text, by_size in found:
        style = style_of(base)
        mean, half = np.transpose([entry.percent("acc") for entry in by_size.values()])
        axes.plot(list(by_size), mean, linewidth=1.7, linestyle=style.dash, zorder=3, **marker(style))
        low, high = np.maximum(mean - half, 0), np.minimum(mean + half, 100)
        axes.vlines(list(by_size), low, high, color=style.colour, linewidth=1.2, zorder=3)
        names.append(Name(text, style, max(by_size), mean[-1]))
    for entry in bounds:
        mean, half = entry.percent("acc")
        axes.axhspan(max(mean - half, 0), min(mean + half, 100), color=entry.style.colour, alpha=0.1, linewidth=0)
        axes.axhline(mean, color=entry.style.colour, linewidth=1.3, zorder=2)
        names.append(Name(entry.label, entry.style, axes.get_xlim()[1], mean))
    write_names(canvas, axes, names)
    return canvas


def families(scene: Scene) -> list[tuple[str, str, dict[int, Entry]]]:
    """Groups of entries that differ in nothing but the size of their buffer, in the suite's order: the method, its name
    in the plot, and the entries by rising size."""
    entries = {entry.method: entry for entry in scene.entries if math.isfinite(entry.percent("acc")[0])}
    found = scene.runs.buffer_sizes(entries)
    bases, families = [base for base, _ in found], []
    for base, sizes in found:
        # Two groups of one method differ in some hyperparameter: only their entries' names tell them apart.
        name = base if bases.count(base) == 1 else f"{base} ({next(iter(sizes.values()))} …)"
        families.append((base, name, {size: entries[method] for size, method in sizes.items()}))
    return families
