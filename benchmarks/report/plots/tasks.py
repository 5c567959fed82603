"""What grows and what falls with every task: accuracy so far, FLOPs of inference, parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.records.record import RunRecord
from benchmarks.report.plots.canvas import LINE_HEIGHT, TEXT, Canvas, finite, percent_limits, set_percent_y
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

SMALL_PANEL, BETWEEN = 100.0, 14.0


def draw(scene: Scene) -> Canvas | None:
    """Three panels, one below the other, with the same tasks."""
    if not scene.entries:
        return None
    accuracy = [Curve((e,), *e.over_seeds(_accuracy)) for e in scene.entries]
    limits = percent_limits(
        finite(*(c.mean - np.nan_to_num(c.half) for c in accuracy)),
        finite(*(c.mean + np.nan_to_num(c.half) for c in accuracy)),
    )
    costs = {
        "inference,\nFLOPs per image": _grouped(scene.entries, lambda r: _padded(r.flops.inference, scene.n_tasks)),
        "parameters": _grouped(scene.entries, lambda r: _padded([p["total"] for p in r.parameters], scene.n_tasks)),
    }
    tall = max(200.0, (TEXT * LINE_HEIGHT + 1) * len(accuracy))
    heights = [max(SMALL_PANEL, sum(label_height(c) for c in curves)) for curves in costs.values()]
    cut = " The accuracy axis does not start at 0." if limits[0] > 0 else ""
    notes = [
        f"{scene.seeds_text('bands')} The last accuracy is ACC.{cut}",
        "Lines that coincide are striped in their colours."
        + (" Methods with the same cost after every task share one grey line." if _shared(costs.values()) else ""),
        scene.absent_text(),
    ]
    height = tall + sum(heights) + len(costs) * BETWEEN + 74
    canvas = Canvas(WIDTH, height, f"{scene.heading}: after each task", notes)
    y = canvas.top - 10 - tall
    axes = canvas.axes(LEFT, y, WIDTH - LEFT - MARGIN, tall)
    set_percent_y(axes, limits)
    axes.set_ylabel("accuracy, mean over\nthe tasks so far, %")
    draw_lines(canvas, axes, accuracy, scene.n_tasks, most=100.0)
    axes.tick_params(labelbottom=False)
    for (label, curves), small in zip(costs.items(), heights, strict=True):
        y -= small + BETWEEN
        axes = canvas.axes(LEFT, y, WIDTH - LEFT - MARGIN, small)
        cost_axis(axes, curves, label)
        draw_lines(canvas, axes, curves, scene.n_tasks)
        axes.tick_params(labelbottom=False)
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("tasks learned")
    return canvas


def _accuracy(record: RunRecord) -> Array:
    return 100 * mean_accuracy_curve(matrix_of(record))


def _padded(values: Sequence[float], n: int) -> Array:
    """One value a task; NaN where the record has none."""
    return np.array([*values, *[np.nan] * n][:n], dtype=float)


def _grouped(entries: Sequence[Entry], of: Callable[[RunRecord], Array]) -> list[Curve]:
    return same_together([Curve((entry,), *entry.over_seeds(of)) for entry in entries])


def _shared(panels) -> bool:
    return any(len(curve.entries) > 1 for curves in panels for curve in curves)
