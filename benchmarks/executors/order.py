"""Longest cells first: whoever starts the longest last waits for it alone."""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from benchmarks.records.record import RunRecord
from benchmarks.request.suite import CellSettings


def longest_first(
    cells: Sequence[CellSettings], records: Iterable[RunRecord], estimate: Callable[[CellSettings], float] | None = None
) -> list[CellSettings]:
    """`cells` by the seconds that they are expected to take, the longest first; equal ones stay as they stood.

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
    return [cells[k] for k in sorted(range(len(cells)), key=lambda k: -expected[k])]


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
