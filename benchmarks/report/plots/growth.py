"""How the cost of a prediction grows with the tasks, and what accuracy that buys: Figure 6 (e, f) of Hu et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.report.plots.canvas import Canvas
from benchmarks.report.plots.curves import Curve, Panel, accuracy_limits, curves_of, draw_panels, same_together
from benchmarks.report.plots.scales import cut_text, finite
from benchmarks.report.plots.scene import Array, Named, Scene, style_in

PANEL = 190.0
GROWS = 1.25
"""Last FLOPs by first from which on a method counts as growing: every output layer gains columns, which is little."""


def draw(scene: Scene) -> Canvas | None:
    """None where no method grows, or tasks bring no classes."""
    if scene.runs.setting != "class":
        return None
    flops = curves_of(scene, "flops.inference")
    flops += [
        Curve((Named(m, m, style_in(scene.runs, m)),), f, np.full_like(f, np.nan)) for m, f in scene.counted.items()
    ]
    if not any(grows(curve.mean) for curve in flops):
        return None
    known = {entry.method for curve in flops for entry in curve.entries}
    accuracy = [curve for curve in curves_of(scene, "average", 100) if curve.entries[0].method in known]
    notes = [scene.seeds_text("bands")] if scene.entries else []
    if scene.counted:
        notes.append(f"Not trained, FLOPs counted from the network: {', '.join(scene.counted)}.")
    return draw_growth(f"{scene.heading}: growth", flops, accuracy, [*notes, scene.absent_text(but=scene.counted)])


def grows(flops: Array) -> bool:
    """Whether a prediction costs clearly more after the last task than after the first."""
    known = finite(flops)
    return len(known) > 1 and known[-1] >= GROWS * known[0]


def draw_growth(title: str, flops: Sequence[Curve], accuracy: Sequence[Curve], notes: Sequence[str] = ()) -> Canvas:
    """FLOPs of a prediction for one image after each task and, where any method has been trained, accuracy below them.

    `flops`: at least one, all with the same number of tasks. accuracy: on all classes so far, in percent. notes: to stand
    below, after how to read it.
    """
    flops = same_together(flops)
    reading = "FLOPs: one prediction for one image, 2 per multiply-add, attention products included. Lines that coincide are striped."
    if any(len(curve.entries) > 1 for curve in flops):
        reading += " Methods with the same FLOPs after every task share one grey line."
    # never logarithmic: how fast a line rises is what is to be seen
    panels = [Panel("inference,\nFLOPs per image", flops, PANEL, log_from=np.inf)]
    if accuracy:
        reading += " Accuracy: of all test images of all classes so far; its last value is LA, its mean AA. "
        reading += cut_text(accuracy_limits(accuracy))
        panels.append(Panel("accuracy on all\nclasses so far, %", list(accuracy), PANEL, percent=True))
    return draw_panels(title, panels, len(flops[0].mean), [reading, *notes])
