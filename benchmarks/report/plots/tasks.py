"""What grows and what falls with every task: accuracy so far, FLOPs of inference, parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.records.record import RunRecord
from benchmarks.report.plots.canvas import LINE_HEIGHT, TEXT, Canvas, finite, percent_limits, set_percent_y, si
from benchmarks.report.plots.curves import (
    LEFT,
    MARGIN,
    WIDTH,
    Curve,
    cost_axis,
    draw_lines,
    label_height,
    same_together,
)
from benchmarks.report.plots.scene import Array, Entry, Scene, matrix_of
from metrics import mean_accuracy_curve

TALL_PANEL, SMALL_PANEL, BETWEEN = 250.0, 80.0, 14.0
FLAT = 1.1
"""The last of a cost over the first, up to which it is not drawn."""


def draw(scene: Scene) -> Canvas | None:
    """Accuracy, and below it, with the same tasks, each cost that changes; one that hardly does is a note."""
    if not scene.entries:
        return None
    accuracy = [Curve((e,), *e.over_seeds(_accuracy)) for e in scene.entries]
    limits = percent_limits(
        finite(*(c.mean - np.nan_to_num(c.half) for c in accuracy)),
        finite(*(c.mean + np.nan_to_num(c.half) for c in accuracy)),
    )
    panels = {
        "inference,\nFLOPs per image": _grouped(scene.entries, lambda r: _padded(r.flops.inference, scene.n_tasks)),
        "parameters": _grouped(scene.entries, lambda r: _padded([p["total"] for p in r.parameters], scene.n_tasks)),
    }
    costs = {label: curves for label, curves in panels.items() if not all(map(_flat, curves))}
    constant = [_said(label, curves) for label, curves in panels.items() if label not in costs]
    tall = max(TALL_PANEL, (TEXT * LINE_HEIGHT + 1) * len(accuracy))
    heights = [max(SMALL_PANEL, sum(label_height(c) for c in curves)) for curves in costs.values()]
    cut = " The accuracy axis does not start at 0." if limits[0] > 0 else ""
    notes = [
        f"{scene.seeds_text('bands')} The last accuracy is ACC.{cut}",
        "Lines that coincide are striped in their colours."
        + (" Methods with the same cost after every task share one grey line." if _shared(costs.values()) else ""),
        *constant,
        scene.absent_text(),
    ]
    height = tall + sum(heights) + len(costs) * BETWEEN + 74
    canvas = Canvas(WIDTH, height, f"{scene.heading}: after each task", notes)
    y = canvas.top - 10 - tall
    axes = canvas.axes(LEFT, y, WIDTH - LEFT - MARGIN, tall)
    set_percent_y(axes, limits)
    axes.set_ylabel("accuracy, mean over\nthe tasks so far, %")
    draw_lines(canvas, axes, accuracy, scene.n_tasks, most=100.0)
    for (label, curves), small in zip(costs.items(), heights, strict=True):
        axes.tick_params(labelbottom=False)
        y -= small + BETWEEN
        axes = canvas.axes(LEFT, y, WIDTH - LEFT - MARGIN, small)
        cost_axis(axes, curves, label)
        draw_lines(canvas, axes, curves, scene.n_tasks)
    axes.set_xlabel("tasks learned")
    return canvas


def _accuracy(record: RunRecord) -> Array:
    return 100 * mean_accuracy_curve(matrix_of(record))


def _padded(values: Sequence[float], n: int) -> Array:
    """One value a task; NaN where the record has none."""
    return np.array([*values, *[np.nan] * n][:n], dtype=float)


def _grouped(entries: Sequence[Entry], of: Callable[[RunRecord], Array]) -> list[Curve]:
    return same_together([Curve((entry,), *entry.over_seeds(of)) for entry in entries])


def _flat(curve: Curve) -> bool:
    """Whether its slope could hardly be seen on an axis from 0: text says the same in less room."""
    return bool(np.isfinite(curve.mean).all()) and curve.mean.max() <= FLAT * curve.mean.min()


def _said(label: str, curves: Sequence[Curve]) -> str:
    """ "Parameters after each task: 20 k (er, ewc), 31 k to 32 k (gem)."; no names where all cost the same."""
    ordered = sorted(curves, key=lambda curve: curve.mean[0])
    names = [f" ({', '.join(e.method for e in curve.entries)})" if len(curves) > 1 else "" for curve in ordered]
    ranges = [" to ".join(dict.fromkeys(si(v) for v in (c.mean.min(), c.mean.max()))) for c in ordered]
    values = ", ".join(text + name for text, name in zip(ranges, names, strict=True))
    label = label.replace("\n", " ")
    return f"{label[0].upper()}{label[1:]} after each task: {values}."


def _shared(panels) -> bool:
    return any(len(curve.entries) > 1 for curves in panels for curve in curves)
