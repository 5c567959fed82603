"""Where labels go so that none lies on another, on a marker or on an interval. All lengths are in points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""A rectangle: left, bottom, right, top."""
Array = NDArray[np.float64]


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


ANGLES = np.radians((0, 180, 30, -30, 150, -150, 60, -60, 120, -120, 90, -90))
DISTANCES = np.array((7.0, 11.0, 16.0, 22.0, 30.0, 40.0, 52.0, 66.0, 82.0, 100.0, 120.0))
PASSES = 3


def place_labels(points: Sequence[Point], sizes: Sequence[Point], frame: Box, obstacles: Sequence[Box]) -> list[Box]:
    """One box of each of `sizes` (width, height) near each of `points`, inside `frame`.

    Among boxes around a point, the nearest is taken that covers no other label, no obstacle (markers, intervals) and
    whose leader crosses no other leader and no label; where there is none, the least bad. Greedy in the given order,
    then each in turn once more, since the first did not know of the last.
    """
    places, blocks = np.array(points), np.array(obstacles).reshape(-1, 4)
    around = [_around(point, np.array(size), frame) for point, size in zip(places, sizes, strict=True)]
    fixed = []
    for point, boxes in zip(places, around, strict=True):
        areas = overlaps(boxes[:, None], blocks[None])
        ends = nearest(boxes, point)
        # A leader that runs through another method's marker seems to belong to that one.
        markers = places[np.linalg.norm(places - point, axis=1) > 2]
        misled = (_from_segments(markers[None], point, ends[:, None]) < 4).sum(axis=1)
        costs = np.where(areas > 0, 1000 + 20 * areas, 0.0).sum(axis=1)
        fixed.append(costs + 400 * misled + np.linalg.norm(ends - point, axis=1))
    chosen: dict[int, Array] = {}
    for _ in range(PASSES):
        for i, boxes in enumerate(around):
            others = [(places[j], box) for j, box in chosen.items() if j != i]
            cost = fixed[i] + sum(_trouble(places[i], boxes, *other) for other in others)
            chosen[i] = boxes[np.argmin(cost)]
    return [tuple(chosen[i].tolist()) for i in range(len(points))]


def overlaps(a: Array, b: Array) -> Array:
    """Areas that boxes, [..., 4], both cover."""
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.maximum(shared, 0.0).prod(axis=-1)


def nearest(boxes: ArrayLike, point: ArrayLike) -> Array:
    """The points of boxes, [..., 4], that are nearest to `point`."""
    boxes = np.asarray(boxes)
    return np.clip(np.asarray(point), boxes[..., :2], boxes[..., 2:])


def _around(point: Array, size: Array, frame: Box) -> Array:
    """The boxes to choose from, [n, 4]: the side of each that faces the point lies at a distance and an angle from it."""
    ways = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=-1)
    corners = point + DISTANCES[:, None, None] * ways - size * (1 - ways) / 2
    corners = np.clip(corners.reshape(-1, 2), frame[:2], np.maximum(np.array(frame[2:]) - size, frame[:2]))
    return np.concatenate([corners, corners + size], axis=1)


def _trouble(point: Array, boxes: Array, other: Array, label: Array) -> Array:
    """What labels at `boxes` cost beside a chosen one: they overlap, or a leader crosses the other or a label."""
    ends, end = nearest(boxes, point), nearest(label, other)
    areas = overlaps(boxes, label)
    cuts = _cuts(point, ends, label) | _cuts(other, end, boxes)
    return np.where(areas > 0, 3000 + 50 * areas, 0.0) + 300 * _cross(point, ends, other, end) + 800 * cuts


def _cross(a: Array, b: Array, c: Array, d: Array) -> NDArray[np.bool_]:
    """Whether segments ab and cd, [..., 2], cross inside both."""

    def side(p: Array, q: Array, r: Array) -> Array:
        u, v = q - p, r - p
        return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]

    return (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)


def _cuts(a: Array, b: Array, boxes: Array) -> NDArray[np.bool_]:
    """Whether segments ab enter boxes."""
    corners = [boxes[..., list(k)] for k in ((0, 1), (0, 3), (2, 3), (2, 1))]
    inside = ((boxes[..., :2] < b) & (b < boxes[..., 2:])).all(axis=-1)
    return inside | np.any([_cross(a, b, corners[k], corners[k - 1]) for k in range(4)], axis=0)


def _from_segments(p: Array, a: Array, b: Array) -> Array:
    """Distances of p from segments ab."""
    along = b - a
    length = np.maximum((along**2).sum(axis=-1), 1e-12)
    t = np.clip(((p - a) * along).sum(axis=-1) / length, 0.0, 1.0)
    return np.linalg.norm(p - a - t[..., None] * along, axis=-1)
