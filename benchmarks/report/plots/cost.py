"""Accuracy against what it costs: FLOPs of inference and of training, with intervals on both axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from benchmarks.records.results import pareto_front
from benchmarks.report.plots.canvas import (
    FAINT,
    LINE_HEIGHT,
    TEXT,
    Canvas,
    cut_text,
    marker,
    percent_limits,
    set_log_x,
    set_percent_y,
    shortened,
    text_width,
)
from benchmarks.report.plots.labels import Box, nearest, place_labels
from benchmarks.report.plots.scene import Entry, Scene

PANELS = {
    "flops.inference": "inference after the last task, FLOPs per image (log scale)",
    "flops.training": "training on all tasks, FLOPs (log scale)",
}
FRONT = "#BBBBBB"
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
        f"Marks that would cover each other are drawn one around the other.{cut_text(limits)}",
        scene.absent_text(),
        _unknown_text(scene.entries, panels),
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


def _unknown_text(entries: Sequence[Entry], panels: Mapping[str, list[Spot]]) -> str:
    """Which methods are in no panel, as with predictions of another program."""
    drawn = {spot.entry.method for panel in panels.values() for spot in panel}
    named = [entry.method for entry in entries if entry.method not in drawn]
    return f"Of unknown FLOPs, so not drawn: {', '.join(named)}." if named else ""


def spots(entries: Sequence[Entry], cost: str) -> list[Spot]:
    """The methods that have an ACC and a cost above 0."""
    found = []
    for entry in entries:
        acc, price = entry.summaries["acc"], entry.summaries[cost]
        if acc and price and math.isfinite(acc.mean) and price.mean > 0:
            halves = [0.0 if math.isnan(h) else h for h in (price.half_width, acc.half_width)]
            found.append(Spot(entry, price.mean, halves[0], 100 * acc.mean, 100 * halves[1]))
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
    set_log_x(axes, [*lows, *(s.cost + s.cost_half for s in found)])
    front = front_of(found)
    if front:
        right = axes.get_xlim()[1]
        x, y = [*(s.cost for s in front), right], [*(s.acc for s in front), front[-1].acc]
        axes.plot(x, y, color=FRONT, linewidth=3, drawstyle="steps-post", solid_capstyle="butt", zorder=1)
    points = [canvas.place(axes, s.cost, s.acc) for s in found]
    sizes = [SIZE + RING * min(ring, RINGS) for ring in nested(points)]
    for spot, low, size in zip(found, lows, sizes, strict=True):
        style = spot.entry.style
        bars: dict[str, Any] = {"color": style.colour, "linewidth": 1.2, "zorder": 3, "markersize": CAP}
        # Where bars lie on each other, the strokes at their ends tell whose they are.
        axes.plot([spot.cost] * 2, spot.ends, marker="_", **bars)
        axes.plot([low, spot.cost + spot.cost_half], [spot.acc] * 2, marker="|", **bars)
        layer = 4 + 1 / size  # the smaller above the larger
        axes.plot([spot.cost], [spot.acc], linestyle="none", zorder=layer, **marker(style, size))
    _label(canvas, axes, found, sizes, front)


def _extent(canvas: Canvas, axes: Axes, spot: Spot) -> tuple[float, float]:
    """Lower and upper end of marker and interval, in points."""
    low, mean, high = (canvas.place(axes, spot.cost, v)[1] for v in (spot.ends[0], spot.acc, spot.ends[1]))
    return min(low, mean - MARK / 2), max(high, mean + MARK / 2)


def nested(points: Sequence[tuple[float, float]]) -> list[int]:
    """How many marks lie on each: so many sizes larger it is drawn, below them, and all are seen where they belong.

    `points`: places of the marks. One lies on another where it would cover most of it, were both of the same size.
    """
    rings = [0] * len(points)
    for k in reversed(range(len(points))):
        above = [rings[i] for i in range(k + 1, len(points)) if math.dist(points[k], points[i]) < MARK / 2]
        rings[k] = max(above, default=-1) + 1
    return rings


def _label(canvas: Canvas, axes: Axes, found: list[Spot], marks: list[float], front: list[Spot]) -> None:
    points = [canvas.place(axes, s.cost, s.acc) for s in found]
    labels = [shortened(s.entry.label, TEXT, 0.7 * axes.bbox.width * 72 / canvas.figure.dpi) for s in found]
    weights = ["bold" if s in front else "normal" for s in found]
    sizes = [
        (text_width(text, TEXT, weight) + 8, TEXT * LINE_HEIGHT) for text, weight in zip(labels, weights, strict=True)
    ]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    obstacles: list[Box] = []
    for spot, (x, y), mark in zip(found, points, marks, strict=True):
        size = mark / 2 + 1.5
        bottom, top = _extent(canvas, axes, spot)
        half = canvas.place(axes, spot.cost + spot.cost_half, spot.acc)[0] - x
        obstacles.append((x - size, y - size, x + size, y + size))
        obstacles += [(x - 1.5, bottom, x + 1.5, top), (x - half, y - 1.5, x + half, y + 1.5)]
    end = canvas.place(axes, right, high)
    corners = [*(canvas.place(axes, s.cost, s.acc) for s in front), (end[0], 0.0)]
    for (x, y), (next_x, next_y) in itertools.pairwise(corners):
        obstacles.append((x, y - 1, next_x, y + 1))
        if next_y:
            obstacles.append((next_x - 1, min(y, next_y), next_x + 1, max(y, next_y)))
    start = canvas.place(axes, left, low)
    frame = (start[0] + 2, start[1] + 2, end[0] - 2, end[1] - 2)
    boxes = place_labels(points, sizes, frame, obstacles)
    for spot, point, box, text, weight, mark in zip(found, points, boxes, labels, weights, marks, strict=True):
        end, clear = tuple(nearest(box, point).tolist()), 0.6 * mark
        length = math.dist(point, end)
        if length > clear + 2:
            x, y = (a + (b - a) * clear / length for a, b in zip(point, end, strict=True))
            canvas.line((x, end[0]), (y, end[1]), spot.entry.style.colour)
        canvas.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, text, ha="center", weight=weight)
