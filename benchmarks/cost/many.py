"""The costs of many cells: read off notes where they were counted before, else counted on all processors."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.cost.count import CellCost, TaskCost, cost_of
from benchmarks.cost.phase import PhaseCost
from benchmarks.cost.sizes import size_of_stream
from benchmarks.request.notes import keeps_notes, read_note, write_note
from benchmarks.request.plugins import has_plugins
from benchmarks.request.suite import CellSettings
from metrics.flops import Flops
from scenarios.own_names import is_own

ALONE_SECONDS = 5.0
"""What is counted in less is counted in this process: to import torch in others takes seconds."""
MOST_PROCESSES = 16

Say = Callable[[CellSettings], object]


def costs_of(cells: Sequence[CellSettings], data_root: str | None, say: Say) -> list[CellCost]:
    """The cost of each of `cells`, as `cost_of` has it; `say` hears of each before the next. Raises as `cost_of`."""
    keys = {k: _key(cell, data_root) for k, cell in enumerate(cells)} if _ours_alone() else {}
    found = {k: cost for k, key in keys.items() if key and (cost := _noted(cells[k], key))}
    with closing(_counted([cell for k, cell in enumerate(cells) if k not in found], data_root)) as counted:
        for k, cell in enumerate(cells):
            if k not in found:
                found[k] = next(counted)
                if found[k].error is None and keys.get(k):
                    write_note("cost", keys[k], [asdict(task) for task in found[k].tasks])
            say(cell)
    return [found[k] for k in range(len(cells))]


def _counted(cells: Sequence[CellSettings], data_root: str | None) -> Generator[CellCost, None, None]:
    """In this process, and in one on each processor once that has taken ALONE_SECONDS."""
    start, alone = time.perf_counter(), 0
    while alone < len(cells) and time.perf_counter() - start < ALONE_SECONDS:
        yield cost_of(cells[alone], data_root)
        alone += 1
    rest = cells[alone:]
    processes = min(len(os.sched_getaffinity(0)), len(rest), MOST_PROCESSES)
    if processes < 2 or not _ours_alone():
        yield from (cost_of(cell, data_root) for cell in rest)
        return
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))
    try:
        longest_first = sorted(range(len(rest)), key=lambda k: -rest[k].scenario.tasks)
        futures = {k: pool.submit(cost_of, rest[k], data_root) for k in longest_first}
        for k in range(len(rest)):
            yield futures[k].result()
    finally:  # also of a command that is stopped, which does not wait for cells half counted
        pool.shutdown(wait=False)
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()


def _ours_alone() -> bool:
    """Whether the command line counts what comes with Retain: a notebook starts no processes, which lack its plug-ins."""
    return keeps_notes() and not has_plugins()


def _key(cell: CellSettings, data_root: str | None) -> Any:
    """All that the cell's cost depends on beside the source; None where that cannot be told."""
    if is_own(cell.scenario.data):
        return None
    return [cell.resolved.document, cell.seed, asdict(size_of_stream(cell.scenario, data_root))]


def _noted(cell: CellSettings, key: Any) -> CellCost | None:
    tasks = read_note("cost", key)
    return CellCost(cell, [_task(task) for task in tasks]) if tasks is not None else None


def _task(noted: dict[str, Any]) -> TaskCost:
    parts = {"inference": Flops(**noted["inference"]), "phases": [PhaseCost(**phase) for phase in noted["phases"]]}
    return TaskCost(**(noted | parts))
