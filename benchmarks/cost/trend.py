"""What a task costs, foretold from the tasks before: of many tasks most need not be run.

A step on n images costs a fixed part and a part for each image, and both grow with the tasks as parabolas: a network
has as many more parts with every task, and each of them reads all older ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping
from fractions import Fraction

Numbers = tuple[Fraction | int, ...]


class Unforeseen(Exception):
    """The last task costs something else than was foretold."""


class Trends:
    """Numbers of one task after another, by what they are of.

    task: how many have begun. used: whether any number was told. Where not `telling`, none is.
    """

    def __init__(self, telling: bool) -> None:
        self._values: dict[Hashable, list[Numbers | None]] = defaultdict(list)
        self._telling = telling
        self._last = self.used = False
        self.task = 0

    def begin(self, last: bool) -> None:
        """The next task, and whether it is the last, which is counted whatever was told."""
        self.task += 1
        self._last = last

    def told(self, key: Hashable) -> Numbers | None:
        """The numbers of this task where those of the four before lie on parabolas, else None."""
        told = None if self._last else self._next(key)
        self.used |= told is not None
        return told

    def add(self, key: Hashable, numbers: Numbers | None) -> None:
        """Those of this task, None where nothing can be told from them. Raises Unforeseen where others would be told."""
        next = self._next(key)
        if next is not None and next != numbers:
            raise Unforeseen(f"{key}: {numbers}, not {next}")
        values = self._values[key]
        values += [None] * (self.task - 1 - len(values)) + [numbers]

    def _next(self, key: Hashable) -> Numbers | None:
        values = self._values[key]
        last = values[-4:]
        if not self._telling or len(values) != self.task - 1 or len(last) < 4 or None in last:
            return None
        four = list(zip(*last, strict=True))
        if any(a - 3 * b + 3 * c - d for a, b, c, d in four):
            return None
        return tuple(b - 3 * c + 3 * d for _, b, c, d in four)


def line_through(points: Mapping[int, Collection[int]]) -> Numbers | None:
    """(fixed, per image) of `points`, FLOPs by the number of images; None where they lie on no line or on many."""
    if len(points) < 2 or any(len(flops) != 1 for flops in points.values()):
        return None
    (n, flops), *others = ((n, flops) for n, (flops,) in points.items())
    slopes = {Fraction(f - flops, m - n) for m, f in others}
    if len(slopes) != 1:
        return None
    (slope,) = slopes
    return flops - n * slope, slope


def at(line: Numbers, n: int) -> int:
    """FLOPs of a step on n images."""
    fixed, per_image = line
    return int(fixed + n * per_image)
