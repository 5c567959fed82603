"""What grows and what falls with every task: accuracy so far, FLOPs of inference, parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.report.plots.canvas import LINE_HEIGHT, TEXT, Canvas, cut_text, si
from benchmarks.report.plots.curves import Curve, Panel, accuracy_limits, draw_panels, label_height, same_together
from benchmarks.report.plots.scene import Scene

TALL_PANEL, SMALL_PANEL, BETWEEN = 250.0, 80.0, 14.0
FLAT = 1.1
"""The last of a cost over the first, up to which it is not drawn."""
COSTS = {"inference,\nFLOPs per image": "flops.inference", "parameters": "parameters"}


def draw(scene: Scene) -> Canvas | None:
    """Accuracy, and below it, with the same tasks, each cost that changes; one that hardly does is a note."""
    if not scene.entries:
        return None
    accuracy = [Curve((e,), *e.over_seeds("mean", 100)) for e in scene.entries]
    costs = {label: costs_of(scene, name) for label, name in COSTS.items()}
    constant = [_said(label, curves) for label, curves in costs.items() if all(map(_flat, curves))]
    small = [
        Panel(label, curves, max(SMALL_PANEL, sum(map(label_height, curves))))
        for label, curves in costs.items()
        if not all(map(_flat, curves))
    ]
    tall = max(TALL_PANEL, (TEXT * LINE_HEIGHT + 1) * len(accuracy))
    shared = any(len(curve.entries) > 1 for panel in small for curve in panel.curves)
    notes = [
        f"{scene.seeds_text('bands')} The last accuracy is ACC.{cut_text(accuracy_limits(accuracy))}",
        "Lines that coincide are striped in their colours."
        + (" Methods with the same cost after every task share one grey line." if shared else ""),
        *constant,
        scene.absent_text(),
    ]
    panels = [Panel("accuracy, mean over\nthe tasks so far, %", accuracy, tall, percent=True), *small]
    return draw_panels(f"{scene.heading}: after each task", panels, scene.n_tasks, BETWEEN, notes)


def costs_of(scene: Scene, name: str) -> list[Curve]:
    """Of the entries whose costs are known; where none are, of all."""
    curves = [Curve((entry,), *entry.over_seeds(name)) for entry in scene.entries]
    return same_together([curve for curve in curves if np.isfinite(curve.mean).any()] or curves)


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
