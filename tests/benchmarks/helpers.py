"""Small grids of real digits for tests of the runner."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.executors.worker import warm_up
from benchmarks.records.atomic_write import written_whole
from benchmarks.request.grid import Grid, make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.suite import CellSettings, Resolved

QUICK = ["training.epochs=1", "scenario.samples_per_task=60", "model.hidden=[16]"]


def grid(*methods: str, scenarios: tuple[str, ...] = ("split-digits/class",), seeds: int = 1, changes=()) -> Grid:
    suite = load_suite("digits", list(methods), list(scenarios), list(range(seeds)), [*QUICK, *changes])
    return make_grid(suite)


def cells(*methods: str, **kwargs) -> list[CellSettings]:
    return grid(*methods, **kwargs).cells


def with_stream(cell: CellSettings, changes: dict[str, object]) -> CellSettings:
    """The cell with these settings of its stream, unchecked."""
    stream = cell.scenario.model_copy(update=changes)
    return replace(cell, resolved=Resolved.of(stream, cell.method, cell.model, cell.training))


def suite_file(folder: Path, methods: str, scenarios: str = "", seeds: int = 1) -> Path:
    """A suite of one's own on digits that runs in about a second."""
    path = folder / "tiny.yaml"
    path.write_text(
        f"""
title: tiny
seeds: {seeds}
scenarios:
  {scenarios or "split: {stream: split, data: digits, setting: class, tasks: 5, samples_per_task: 30}"}
methods: {methods}
model: {{hidden: [16]}}
training: {{epochs: 1, batch_size: 10}}
"""
    )
    return path


def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start as copies of this process, at once and with what is patched here; without, they import for seconds."""
    warm_up()
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: fork)


def lives(pid: int) -> bool:
    """Whether process `pid` has not ended; one that has and was not asked for its exit code has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ends(pid: int, seconds: float = 60) -> bool:
    """Whether process `pid` ends in time; it is killed where it does not."""
    deadline = time.monotonic() + seconds
    while lives(pid):
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            return False
        time.sleep(0.01)
    return True


def left_by_a_killed_process(folder: Path) -> Path:
    """The temporary file of a process that was killed while it wrote to `folder`."""

    def write():
        with written_whole(folder / "whole") as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), 9)

    before = set(folder.iterdir())
    writer = multiprocessing.get_context("fork").Process(target=write)
    writer.start()
    writer.join()
    (left,) = set(folder.iterdir()) - before
    return left
