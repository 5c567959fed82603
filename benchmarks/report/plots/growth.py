"""How the cost of a prediction grows with the tasks, and what accuracy that buys: Figure 6 (e, f) of Hu et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.report.plots.canvas import Canvas, cut_text, finite
from benchmarks.report.plots.curves import Curve, Panel, accuracy_limits, draw_panels, label_height, same_together
from benchmarks.report.plots.scene import Array, Scene, style_in
from benchmarks.report.plots.styles import Style

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
        Growth(e.method, e.label, e.style, e.over_seeds("flops.inference")[0], e.over_seeds("average", 100))
        for e in scene.entries
        if len(finite(e.over_seeds("flops.inference")[0]))
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
    cut = ""
    # never logarithmic: how fast a line rises is what is to be seen
    panels = [Panel("inference,\nFLOPs per image", flops, _height(flops), log_from=np.inf)]
    if accuracy:
        reading += " Accuracy: of all test images of all classes so far; its last value is LA, its mean AA."
        cut = cut_text(accuracy_limits(accuracy)).strip()
        panels.append(Panel("accuracy on all\nclasses so far, %", accuracy, _height(accuracy), percent=True))
    return draw_panels(title, panels, n_tasks, BETWEEN, [reading, cut, *notes])


def _height(curves: Sequence[Curve]) -> float:
    return max(PANEL, sum(map(label_height, curves)))
