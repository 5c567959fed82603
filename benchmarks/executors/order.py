"""Longest cells first: whoever starts the longest last waits for it alone."""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from benchmarks.records.record import RunRecord
from benchmarks.request.suite import CellSettings

WORTH = 0.03
"""Share of the time that another order must save. What a cell takes is not known that well: on a published suite where 0.02
was to be saved, seeds of one kind differed by more, and it took longer than the longest first, which bears that."""


def longest_first(
    cells: Sequence[CellSettings],
    records: Iterable[RunRecord],
    estimate: Callable[[CellSettings], float] | None = None,
    workers: int | None = None,
) -> list[CellSettings]:
    """`cells` by the seconds that they are expected to take, the longest first; equal ones stay as they stood.

    Of few cells the longest first can end later than need be: where it is expected to by WORTH, they are dealt out among
    `workers` (`_packed`).

    Expected is the median of the done `records` of the same settings but the seed; else `estimate`, asked once a scenario
    and method. Without it, kinds of cell that have no record go first, as they may be long.
    """
    known = _seconds_by_kind(records)
    guessed: dict[str, float] = {}
    expected = []
    for cell in cells:
        kind = _kind(cell.identity_settings())
        if kind not in known and kind not in guessed:
            guessed[kind] = estimate(cell) if estimate else float("inf")
        expected.append(known.get(kind, guessed.get(kind, 0.0)))
    order = sorted(range(len(cells)), key=lambda k: -expected[k])
    if workers and cells and max(expected) < float("inf"):
        packed = _packed(order, expected, workers)
        if _end(packed, expected, workers) <= (1 - WORTH) * _end(order, expected, workers):
            order = packed
    return [cells[k] for k in order]


def _end(order: Sequence[int], seconds: Sequence[float], workers: int) -> float:
    return makespan([seconds[k] for k in order], workers)


def _packed(longest_first: Sequence[int], seconds: Sequence[float], workers: int) -> list[int]:
    """The cells in the order of their starts where each worker is given all that fits before the earliest end that is
    found (MULTIFIT, Coffman, Garey & Johnson 1978)."""
    sooner, later = ideal(seconds, workers), _end(longest_first, seconds, workers)
    order = list(longest_first)
    for _ in range(20):
        end = (sooner + later) / 2
        starts = _starts(longest_first, seconds, workers, end)
        if starts is None:
            sooner = end
        else:
            later, order = end, sorted(longest_first, key=starts.__getitem__)
    return order


def _starts(cells: Sequence[int], seconds: Sequence[float], workers: int, end: float) -> dict[int, float] | None:
    """When each cell starts, given in turn to the first worker that does it before `end`; None where one does not fit."""
    free, starts = [0.0] * workers, {}
    for k in cells:
        worker = next((w for w in range(workers) if free[w] + seconds[k] <= end), None)
        if worker is None:
            return None
        starts[k] = free[worker]
        free[worker] += seconds[k]
    return starts


def makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last of `workers` is done, where each takes the next of the cells, in this order, as it gets free."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def ideal(seconds: Sequence[float], workers: int) -> float:
    """What no order can beat."""
    return max([sum(seconds) / workers, *seconds])


def _seconds_by_kind(records: Iterable[RunRecord]) -> Mapping[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.status == "done" and not record.scored:
            found[_kind(record.settings)].append(record.seconds["total"])
    return {kind: median(seconds) for kind, seconds in found.items()}


def _kind(settings: dict) -> str:
    return json.dumps({key: value for key, value in settings.items() if key != "seed"}, sort_keys=True)
