"""What grows and what falls with every task: accuracy so far, FLOPs of inference, parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.records.units import si
from benchmarks.report.plots.canvas import Canvas
from benchmarks.report.plots.curves import Curve, Panel, accuracy_limits, curves_of, draw_panels, same_together
from benchmarks.report.plots.scales import cut_text
from benchmarks.report.plots.scene import Scene

TALL_PANEL, SMALL_PANEL = 250.0, 80.0
FLAT = 1.1
"""The last of a cost over the first, up to which it is not drawn."""
COSTS = {"inference,\nFLOPs per image": "flops.inference", "parameters": "parameters"}


def draw(scene: Scene) -> Canvas | None:
    """Accuracy, and below it, with the same tasks, each cost that changes; one that hardly does is a note."""
    if not scene.entries:
        return None
    accuracy = curves_of(scene, "mean", 100)
    costs = {label: same_together(curves_of(scene, name)) for label, name in COSTS.items()}
    small = [Panel(label, curves, SMALL_PANEL) for label, curves in costs.items() if not _flat(curves)]
    shared = any(len(curve.entries) > 1 for panel in small for curve in panel.curves)
    notes = [
        f"{scene.seeds_text('bands')} The last accuracy is ACC. {cut_text(accuracy_limits(accuracy))}",
        "Lines that coincide are striped in their colours."
        + (" Methods with the same cost after every task share one grey line." if shared else ""),
        *(_said(label, curves) for label, curves in costs.items() if _flat(curves)),
        scene.absent_text(),
    ]
    panels = [Panel("accuracy, mean over\nthe tasks so far, %", accuracy, TALL_PANEL, percent=True), *small]
    return draw_panels(f"{scene.heading}: after each task", panels, scene.n_tasks, notes)


def _flat(curves: Sequence[Curve]) -> bool:
    """Whether no slope could be seen on an axis from 0: text says the same in less room."""
    return bool(curves) and all(np.isfinite(c.mean).all() and c.mean.max() <= FLAT * c.mean.min() for c in curves)


def _said(label: str, curves: Sequence[Curve]) -> str:
    """ "Parameters after each task: 20 k (er, ewc), 31 k to 32 k (gem)."; no names where all cost the same."""
    ordered = sorted(curves, key=lambda curve: curve.mean[0])
    names = [f" ({', '.join(e.method for e in curve.entries)})" if len(curves) > 1 else "" for curve in ordered]
    ranges = [" to ".join(dict.fromkeys(si(v) for v in (c.mean.min(), c.mean.max()))) for c in ordered]
    values = ", ".join(text + name for text, name in zip(ranges, names, strict=True))
    label = label.replace("\n", " ")
    return f"{label[0].upper()}{label[1:]} after each task: {values}."
