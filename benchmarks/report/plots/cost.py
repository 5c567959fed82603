"""Accuracy against what it costs: FLOPs of inference and of training, with intervals on both axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from benchmarks.report.plots.canvas import (
    FAINT,
    INK,
    LINE_HEIGHT,
    TEXT,
    Canvas,
    marker,
    percent_limits,
    set_log_x,
    set_percent_y,
    shortened,
    text_width,
)
from benchmarks.report.plots.labels import Box, place_labels
from benchmarks.report.plots.scene import Entry, Scene

PANELS = {
    "flops.inference": "inference after the last task, FLOPs per image (log scale)",
    "flops.training": "training on all tasks, FLOPs (log scale)",
}
FRONT = "#BBBBBB"
MARK, SHIFTS = 7.0, 56.0
"""Points: the room that a mark takes, and how far apart marks with the same cost may be drawn."""


@dataclass(frozen=True)
class Spot:
    """A method in one panel: cost and ACC in percent, each with the half width of its interval (0 where none)."""

    entry: Entry
    cost: float
    cost_half: float
    acc: float
    acc_half: float

    @property
    def ends(self) -> tuple[float, float]:
        """Of the interval of ACC, within what ACC can be."""
        return max(self.acc - self.acc_half, 0.0), min(self.acc + self.acc_half, 100.0)


def draw(scene: Scene) -> Canvas | None:
    """Two panels with the same accuracy axis; None where no method has both numbers."""
    panels = {id: spots(scene.entries, id) for id in PANELS}
    if not any(panels.values()):
        return None
    everything = [spot for panel in panels.values() for spot in panel]
    limits = percent_limits([s.acc - s.acc_half for s in everything], [s.acc + s.acc_half for s in everything])
    height = max(300.0, 18.0 * len(scene.entries))
    notes = [
        scene.seeds_text("bars"),
        "Grey steps: the Pareto front, the highest mean ACC at up to that cost, among methods with all seeds; an upper "
        "bound, which trains on all past data, is not on it.",
        f"Marks of the same cost stand side by side where they would cover each other.{_cut(limits)}",
        scene.absent_text(),
    ]
    canvas = Canvas(680, height + 78, f"{scene.heading}: accuracy and its cost", notes)
    for k, (id, label) in enumerate(PANELS.items()):
        axes = canvas.axes(52 + k * 322, canvas.bottom + 40, 294, height)
        set_percent_y(axes, limits)
        axes.set_xlabel(label)
        if k == 0:
            axes.set_ylabel("ACC, average accuracy after the last task, %")
        else:
            axes.tick_params(labelleft=False)
        _panel(canvas, axes, panels[id])
    return canvas


def _cut(limits: tuple[float, float]) -> str:
    return " The accuracy axis does not start at 0." if limits[0] > 0 else ""


def spots(entries: Sequence[Entry], cost: str) -> list[Spot]:
    """The methods that have an ACC and a cost above 0."""
    found = []
    for entry in entries:
        acc, price = entry.summaries["acc"], entry.summaries[cost]
        if acc and price and math.isfinite(acc.mean) and price.mean > 0:
            halves = [0.0 if math.isnan(h) else h for h in (price.half_width, acc.half_width)]
            found.append(Spot(entry, price.mean, halves[0], 100 * acc.mean, 100 * halves[1]))
    return found


def pareto_front(found: Sequence[Spot]) -> list[Spot]:
    """By rising cost, the spots that no other beats in ACC at the same or a lower cost. Of equal ones, all.

    Upper bounds are left out, as are methods with fewer seeds than others: their means do not compare.
    """
    able = [s for s in found if s.entry.ranked and s.entry.role != "upper bound"]

    def beaten(spot: Spot) -> bool:
        return any(o.cost <= spot.cost and o.acc >= spot.acc and (o.cost < spot.cost or o.acc > spot.acc) for o in able)

    return sorted((s for s in able if not beaten(s)), key=lambda s: (s.cost, s.acc))


def _panel(canvas: Canvas, axes: Axes, found: list[Spot]) -> None:
    if not found:
        axes.text(0.5, 0.5, "no FLOPs recorded", transform=axes.transAxes, ha="center", color=FAINT)
        axes.set_xticks([])
        return
    # An interval wider than its mean would reach below 0, where a logarithm has no place.
    lows = [max(s.cost - s.cost_half, s.cost / 10) for s in found]
    set_log_x(axes, [*lows, *(s.cost + s.cost_half for s in found)])
    front = pareto_front(found)
    if front:
        right = axes.get_xlim()[1]
        x, y = [*(s.cost for s in front), right], [*(s.acc for s in front), front[-1].acc]
        axes.plot(x, y, color=FRONT, linewidth=3, drawstyle="steps-post", solid_capstyle="butt", zorder=1)
    shifts = side_by_side([(canvas.place(axes, s.cost, 0)[0], *_extent(canvas, axes, s)) for s in found])
    for spot, low, shift in zip(found, lows, shifts, strict=True):
        style = spot.entry.style
        to_the_side = axes.transData + ScaledTranslation(shift / 72, 0, canvas.figure.dpi_scale_trans)
        bars: dict[str, Any] = {"color": style.colour, "linewidth": 1.2, "transform": to_the_side, "zorder": 3}
        axes.plot([spot.cost] * 2, spot.ends, **bars)
        axes.plot([low, spot.cost + spot.cost_half], [spot.acc] * 2, **bars)
        axes.plot([spot.cost], [spot.acc], linestyle="none", transform=to_the_side, zorder=4, **marker(style, 7.5))
    _label(canvas, axes, found, shifts, front)


def _extent(canvas: Canvas, axes: Axes, spot: Spot) -> tuple[float, float]:
    """Lower and upper end of marker and interval, in points."""
    low, mean, high = (canvas.place(axes, spot.cost, v)[1] for v in (spot.ends[0], spot.acc, spot.ends[1]))
    return min(low, mean - MARK / 2), max(high, mean + MARK / 2)


def side_by_side(marks: Sequence[tuple[float, float, float]]) -> list[float]:
    """How far to shift each mark (x, bottom, top; points) so that none covers another with (nearly) the same x.

    The first stays, the next goes to the right, then to the left, and so on; all within SHIFTS.
    """
    slots: list[int] = []
    for k, (x, bottom, top) in enumerate(marks):
        taken = {
            slots[i]
            for i, (other, low, high) in enumerate(marks[:k])
            if abs(other - x) < MARK and low < top and bottom < high
        }
        slots.append(next(s for s in range(len(marks)) if s not in taken))
    step = min(MARK, SHIFTS / max(max(slots, default=0), 1))
    return [step * ((s + 1) // 2) * (1 if s % 2 else -1) for s in slots]


def _label(canvas: Canvas, axes: Axes, found: list[Spot], shifts: list[float], front: list[Spot]) -> None:
    true = [canvas.place(axes, s.cost, s.acc) for s in found]
    points = [(x + shift, y) for (x, y), shift in zip(true, shifts, strict=True)]
    labels = [shortened(s.entry.label, TEXT, 0.7 * axes.bbox.width * 72 / canvas.figure.dpi) for s in found]
    weights = ["bold" if s in front else "normal" for s in found]
    sizes = [
        (text_width(text, TEXT, weight) + 4, TEXT * LINE_HEIGHT) for text, weight in zip(labels, weights, strict=True)
    ]
    obstacles = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    for spot, (x, y) in zip(found, points, strict=True):
        bottom, top = _extent(canvas, axes, spot)
        obstacles.append(Box(x - 1.5, bottom, x + 1.5, top))
        half = canvas.place(axes, spot.cost + spot.cost_half, spot.acc)[0] - canvas.place(axes, spot.cost, spot.acc)[0]
        obstacles.append(Box(x - half, y - 1.5, x + half, y + 1.5))
    left, bottom = canvas.place(axes, axes.get_xlim()[0], axes.get_ylim()[0])
    right, top = canvas.place(axes, axes.get_xlim()[1], axes.get_ylim()[1])
    corners = [*(canvas.place(axes, s.cost, s.acc) for s in front), (right, 0.0)]
    for (x, y), (next_x, next_y) in itertools.pairwise(corners):
        obstacles.append(Box(x, y - 1, next_x, y + 1))
        if next_y:
            obstacles.append(Box(next_x - 1, min(y, next_y), next_x + 1, max(y, next_y)))
    frame = Box(left + 2, bottom + 2, right - 2, top - 2)
    boxes = place_labels(points, sizes, frame, obstacles)
    for spot, point, box, text, weight in zip(found, points, boxes, labels, weights, strict=True):
        end, start = box.nearest(point), MARK * 0.7
        length = math.dist(point, end)
        if length > start + 2:
            x, y = (a + (b - a) * start / length for a, b in zip(point, end, strict=True))
            canvas.line((x, end[0]), (y, end[1]), spot.entry.style.colour)
        canvas.text(*box.centre, text, ha="center", colour=INK, weight=weight)
