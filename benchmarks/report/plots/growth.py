"""How the cost of a prediction grows with the tasks, and what accuracy that buys: Figure 6 (e, f) of Hu et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.records.record import RunRecord
from benchmarks.report.plots.canvas import Canvas, finite, percent_limits, set_percent_y
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
from benchmarks.report.plots.scene import Array, Scene, matrix_of, style_in
from benchmarks.report.plots.styles import Style
from metrics import average_accuracy_curve

PANEL, BETWEEN = 190.0, 16.0
GROWS = 1.25
"""Last FLOPs by first from which on a method counts as growing: every output layer gains columns, which is little."""


@dataclass(frozen=True)
class Growth:
    """A method. flops: of one prediction for one image after each task, [T]. accuracy: on all classes so far after
    each task in percent, [T], and the half widths of its intervals, NaN where there is one seed; None where nothing
    was trained."""

    method: str
    label: str
    style: Style
    flops: Array
    accuracy: tuple[Array, Array] | None = None


def draw(scene: Scene) -> Canvas | None:
    """None where no method grows, or tasks bring no classes."""
    if scene.runs.setting != "class":
        return None
    methods = [
        Growth(e.method, e.label, e.style, e.over_seeds(_flops)[0], e.over_seeds(_accuracy)) for e in scene.entries
    ]
    methods += [Growth(m, m, style_in(scene.runs, m), flops) for m, flops in scene.counted.items()]
    if not any(grows(m.flops) for m in methods):
        return None
    notes = [scene.seeds_text("bands")] if scene.entries else []
    if scene.counted:
        notes.append(f"Not trained, FLOPs counted from the network: {', '.join(scene.counted)}.")
    return draw_growth(f"{scene.heading}: growth", methods, [*notes, scene.absent_text(but=scene.counted)])


def grows(flops: Array) -> bool:
    """Whether a prediction costs clearly more after the last task than after the first."""
    known = finite(flops)
    return len(known) > 1 and known[-1] >= GROWS * known[0]


def draw_growth(title: str, methods: Sequence[Growth], notes: Sequence[str] = ()) -> Canvas:
    """FLOPs of a prediction after each task and, where any method has been trained, accuracy below them.

    `methods`: at least one, all with the same number of tasks. notes: to stand below, after how to read it.
    """
    n_tasks = len(methods[0].flops)
    flops = same_together([Curve((m,), m.flops, np.full(n_tasks, np.nan)) for m in methods])
    accuracy = [Curve((m,), *m.accuracy) for m in methods if m.accuracy is not None]
    reading = "FLOPs: one prediction for one image, 2 per multiply-add, attention products included. Lines that coincide are striped."
    if any(len(curve.entries) > 1 for curve in flops):
        reading += " Methods with the same FLOPs after every task share one grey line."
    if accuracy:
        reading += " Accuracy: of all test images of all classes so far; its last value is LA, its mean AA."
    panels = [flops, accuracy] if accuracy else [flops]
    heights = [max(PANEL, sum(label_height(curve) for curve in curves)) for curves in panels]
    limits = percent_limits(
        finite(*(c.mean - np.nan_to_num(c.half) for c in accuracy)),
        finite(*(c.mean + np.nan_to_num(c.half) for c in accuracy)),
    )
    cut = "The accuracy axis does not start at 0." if accuracy and limits[0] > 0 else ""
    canvas = Canvas(WIDTH, sum(heights) + BETWEEN * len(panels) + 60, title, [reading, cut, *notes])
    y = canvas.top + BETWEEN - 10
    for curves, height in zip(panels, heights, strict=True):
        y -= height + BETWEEN
        axes = canvas.axes(LEFT, y, WIDTH - LEFT - MARGIN, height)
        if curves is flops:
            # never logarithmic: how fast a line rises is what is to be seen
            cost_axis(axes, curves, "inference,\nFLOPs per image", log_from=np.inf)
        else:
            set_percent_y(axes, limits)
            axes.set_ylabel("accuracy on all\nclasses so far, %")
        draw_lines(canvas, axes, curves, n_tasks, most=np.inf if curves is flops else 100.0)
        axes.tick_params(labelbottom=curves is panels[-1])
    axes.set_xlabel("tasks learned")
    return canvas


def _flops(record: RunRecord) -> Array:
    n_tasks = len(record.matrix.correct) - 1
    return np.array([*record.flops.inference, *[np.nan] * n_tasks][:n_tasks], dtype=float)


def _accuracy(record: RunRecord) -> Array:
    return 100 * average_accuracy_curve(matrix_of(record))
