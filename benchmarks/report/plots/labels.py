"""Where labels go so that none lies on another, on a marker or on an interval. All lengths are in points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle by its corners."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def centre(self) -> Point:
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    def overlap(self, other: Box) -> float:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    def nearest(self, point: Point) -> Point:
        """The point of the rectangle that is nearest to `point`."""
        return min(max(point[0], self.left), self.right), min(max(point[1], self.bottom), self.top)


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Centres of blocks of these `heights`, one above the other between `low` and `high` without overlap, each as
    near as can be to where it is `wanted` and in the same order; equal wishes keep their order from the top down.

    Where they do not fit they begin at `high` and run below `low`.
    """
    order = sorted(range(len(wanted)), key=lambda i: -wanted[i])
    # Blocks that touch form a group, which lies where the mean of its members' wishes is.
    groups: list[list[int]] = []
    tops: list[float] = []
    for i in order:
        groups.append([i])
        tops.append(_top([i], wanted, heights, low, high))
        while len(groups) > 1 and tops[-2] - sum(heights[k] for k in groups[-2]) < tops[-1]:
            joined = groups[-2] + groups[-1]
            groups[-2:] = [joined]
            tops[-2:] = [_top(joined, wanted, heights, low, high)]
    centres = [0.0] * len(wanted)
    for group, top in zip(groups, tops, strict=True):
        for i in group:
            centres[i] = top - heights[i] / 2
            top -= heights[i]
    return centres


def _top(group: list[int], wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> float:
    above, wishes = 0.0, []
    for i in group:
        wishes.append(wanted[i] + above + heights[i] / 2)
        above += heights[i]
    return min(max(sum(wishes) / len(wishes), low + above), high)


ANGLES = tuple(math.radians(a) for a in (0, 180, 30, -30, 150, -150, 60, -60, 120, -120, 90, -90))
DISTANCES = (7.0, 11.0, 16.0, 22.0, 30.0, 40.0, 52.0, 66.0, 82.0, 100.0, 120.0)
PASSES = 3


def place_labels(points: Sequence[Point], sizes: Sequence[Point], frame: Box, obstacles: Sequence[Box]) -> list[Box]:
    """One box of each of `sizes` (width, height) near each of `points`, inside `frame`.

    Among boxes around a point, the nearest is taken that covers no other label, no obstacle (markers, intervals) and
    whose leader crosses no other leader and no label; where there is none, the least bad. Greedy in the given order,
    then each in turn once more, since the first did not know of the last.
    """
    chosen: list[Box | None] = [None] * len(points)
    candidates = [_around(point, size, frame) for point, size in zip(points, sizes, strict=True)]
    blocked = [[_blocked(box, obstacles) for box in boxes] for boxes in candidates]
    for _ in range(PASSES):
        for i, boxes in enumerate(candidates):
            others = [(points[j], box) for j, box in enumerate(chosen) if j != i and box is not None]
            chosen[i] = _cheapest(points[i], boxes, blocked[i], others, points)
    return [box for box in chosen if box is not None]


def _cheapest(
    point: Point, boxes: list[Box], blocked: list[float], others: list[tuple[Point, Box]], points: Sequence[Point]
) -> Box:
    """Tried in the order of their least possible cost, so that most need not be."""
    least = [fixed + math.dist(point, box.nearest(point)) for box, fixed in zip(boxes, blocked, strict=True)]
    best, cost = boxes[0], math.inf
    for k in sorted(range(len(boxes)), key=least.__getitem__):
        if least[k] >= cost:
            break
        own = least[k] + _trouble(point, boxes[k], others, points)
        if own < cost:
            best, cost = boxes[k], own
    return best


def _around(point: Point, size: Point, frame: Box) -> list[Box]:
    boxes = []
    width, height = size
    for distance in DISTANCES:
        for angle in ANGLES:
            x, y = point[0] + distance * math.cos(angle), point[1] + distance * math.sin(angle)
            # The side of the box that faces the point lies at (x, y).
            left = x - width * (1 - math.cos(angle)) / 2
            bottom = y - height * (1 - math.sin(angle)) / 2
            left = min(max(left, frame.left), frame.right - width)
            bottom = min(max(bottom, frame.bottom), frame.top - height)
            boxes.append(Box(left, bottom, left + width, bottom + height))
    return boxes


def _blocked(box: Box, obstacles: Sequence[Box]) -> float:
    return sum(1000.0 + 20 * area for obstacle in obstacles if (area := box.overlap(obstacle)) > 0)


def _trouble(point: Point, box: Box, others: Sequence[tuple[Point, Box]], points: Sequence[Point]) -> float:
    """What a label at `box` costs beyond its distance: overlaps with other labels, leaders that mislead."""
    end = box.nearest(point)
    cost = 0.0
    for other_point, other in others:
        area = box.overlap(other)
        if area > 0:
            cost += 3000 + 50 * area
        if _cross(point, end, other_point, other.nearest(other_point)):
            cost += 300
        if _cuts(point, end, other) or _cuts(other_point, other.nearest(other_point), box):
            cost += 800
    # A leader that runs through another method's marker seems to belong to that one.
    cost += sum(400 for p in points if math.dist(p, point) > 2 and _from_segment(p, point, end) < 4)
    return cost


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether segments ab and cd cross inside both."""

    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _cuts(a: Point, b: Point, box: Box) -> bool:
    """Whether the segment ab enters the box."""
    corners = [(box.left, box.bottom), (box.left, box.top), (box.right, box.top), (box.right, box.bottom)]
    if box.left < b[0] < box.right and box.bottom < b[1] < box.top:
        return True
    return any(_cross(a, b, corners[k], corners[k - 1]) for k in range(4))


def _from_segment(p: Point, a: Point, b: Point) -> float:
    """Distance of p from the segment ab."""
    length = math.dist(a, b)
    if length == 0:
        return math.dist(p, a)
    t = ((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / length**2
    t = min(max(t, 0.0), 1.0)
    return math.dist(p, (a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
