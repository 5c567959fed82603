"""Accuracy against what it costs: FLOPs of inference and of training, with intervals on both axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from benchmarks.records.results import pareto_front
from benchmarks.report.plots.canvas import FAINT, WIDTH, Canvas
from benchmarks.report.plots.labels import MARGIN, Name, marker, write_names
from benchmarks.report.plots.scales import cut_text, percent_limits, set_log, set_percent_y
from benchmarks.report.plots.scene import Entry, Scene

PANELS = {
    "flops.inference": "inference after the last task,\nFLOPs per image (log scale)",
    "flops.training": "training on all tasks,\nFLOPs (log scale)",
}
FRONT = "#BBBBBB"
LEFT, GAP = 52.0, 24.0
PANEL = (WIDTH - LEFT - GAP - MARGIN) / 2
MARK, SIZE, RING, RINGS, CAP = 7.0, 7.5, 3.0, 5, 4.0
"""Points: the room that a mark takes, its size, and how much larger, at most so many times, it is where others lie on
it; the width of the strokes that end a bar."""


@dataclass(frozen=True)
class Spot:
    """A method in one panel: cost and ACC in percent, each with the half width of its interval (0 where none)."""

    entry: Entry
    cost: float
    cost_half: float
    acc: float
    acc_half: float


def draw(scene: Scene) -> Canvas | None:
    """Two panels with the same accuracy axis, on which the names stand once; None where no method has both numbers."""
    panels = {id: spots(scene.entries, id) for id in PANELS}
    drawn = {spot.entry.method: spot for panel in panels.values() for spot in panel}
    if not drawn:
        return None
    limits = percent_limits([s.acc for s in drawn.values()], [s.acc_half for s in drawn.values()])
    height = max(300.0, 18.0 * len(scene.entries))
    unknown = [
        entry.method for entry in scene.entries if entry.method not in drawn
    ]  # as predictions of another program
    whole = max(len(entry.records) for entry in scene.entries) == len(scene.runs.seeds)
    notes = [
        scene.seeds_text("bars"),
        "Grey steps: the Pareto front, the highest mean ACC at up to that cost, among methods with "
        f"{'all seeds' if whole else 'as many seeds as any'}; an upper "
        "bound, which trains on all past data, is not on it. In bold: on the front of either panel.",
        f"Marks that would cover each other are drawn one around the other. {cut_text(limits)}",
        scene.absent_text(),
        f"Of unknown FLOPs, so not drawn: {', '.join(unknown)}." if unknown else "",
    ]
    canvas = Canvas(height + 90, f"{scene.heading}: accuracy and its cost", notes)
    best = {spot.entry.method for panel in panels.values() for spot in front_of(panel)}
    for k, (id, label) in enumerate(PANELS.items()):
        axes = canvas.axes(LEFT + k * (PANEL + GAP), canvas.bottom + 52, PANEL, height)
        set_percent_y(axes, limits, "" if k else "ACC, average accuracy after the last task, %")
        axes.set_xlabel(label)
        axes.tick_params(labelleft=not k)
        _panel(canvas, axes, panels[id])
    right = axes.get_xlim()[1]
    places = {spot.entry.method: spot.cost for spot in panels[id]}
    names = [Name(s.entry.label, s.entry.style, places.get(m, right), s.acc, m in best) for m, s in drawn.items()]
    write_names(canvas, axes, names)
    return canvas


def spots(entries: Sequence[Entry], cost: str) -> list[Spot]:
    """The methods that have an ACC and a cost above 0."""
    found = []
    for entry in entries:
        acc, price = entry.summaries["acc"], entry.summaries[cost]
        if acc and price and math.isfinite(acc.mean) and price.mean > 0:
            half = 0.0 if math.isnan(price.half_width) else price.half_width
            found.append(Spot(entry, price.mean, half, *entry.percent("acc")))
    return found


def front_of(found: Sequence[Spot]) -> list[Spot]:
    """By rising cost, the spots that no other beats in ACC at the same or a lower cost. Of equal ones, all.

    Upper bounds are left out, as are methods with fewer seeds than others: their means do not compare.
    """
    able = [s for s in found if s.entry.ranked and s.entry.role != "upper bound"]
    best = pareto_front([s.cost for s in able], [s.acc for s in able])
    return sorted(itertools.compress(able, best), key=lambda s: (s.cost, s.acc))


def _panel(canvas: Canvas, axes: Axes, found: list[Spot]) -> None:
    if not found:
        axes.text(0.5, 0.5, "no FLOPs recorded", transform=axes.transAxes, ha="center", color=FAINT)
        axes.set_xticks([])
        return
    # An interval wider than its mean would reach below 0, where a logarithm has no place.
    lows = [max(s.cost - s.cost_half, s.cost / 10) for s in found]
    set_log(axes, "x", [*lows, *(s.cost + s.cost_half for s in found)])
    front = front_of(found)
    if front:
        right = axes.get_xlim()[1]
        x, y = [*(s.cost for s in front), right], [*(s.acc for s in front), front[-1].acc]
        axes.plot(x, y, color=FRONT, linewidth=3, drawstyle="steps-post", solid_capstyle="butt", zorder=1)
    rings = nested([canvas.place(axes, s.cost, s.acc) for s in found])
    for spot, low, ring in zip(found, lows, rings, strict=True):
        style, size = spot.entry.style, SIZE + RING * min(ring, RINGS)
        bars: dict[str, Any] = {"color": style.colour, "linewidth": 1.2, "zorder": 3, "markersize": CAP}
        ends = max(spot.acc - spot.acc_half, 0.0), min(spot.acc + spot.acc_half, 100.0)
        # Where bars lie on each other, the strokes at their ends tell whose they are.
        axes.plot([spot.cost] * 2, ends, marker="_", **bars)
        axes.plot([low, spot.cost + spot.cost_half], [spot.acc] * 2, marker="|", **bars)
        layer = 4 + 1 / size  # the smaller above the larger
        axes.plot([spot.cost], [spot.acc], linestyle="none", zorder=layer, **marker(style, size))


def nested(points: Sequence[tuple[float, float]]) -> list[int]:
    """How many marks lie on each: so many sizes larger it is drawn, below them, and all are seen where they belong.

    `points`: places of the marks. One lies on another where it would cover most of it, were both of the same size.
    """
    rings = [0] * len(points)
    for k in reversed(range(len(points))):
        above = [rings[i] for i in range(k + 1, len(points)) if math.dist(points[k], points[i]) < MARK / 2]
        rings[k] = max(above, default=-1) + 1
    return rings
