"""Small grids of real digits for tests of the runner."""

from __future__ import annotations

from pathlib import Path

from benchmarks.config import CellSettings, load_suite
from benchmarks.grid import Grid, make_grid

QUICK = ["training.epochs=1", "scenario.samples_per_task=60", "model.hidden=[16]"]


def grid(*methods: str, scenarios: tuple[str, ...] = ("split-digits/class",), seeds: int = 1, changes=()) -> Grid:
    suite = load_suite("digits", list(methods), list(scenarios), list(range(seeds)), [*QUICK, *changes])
    return make_grid(suite)


def cells(*methods: str, **kwargs) -> list[CellSettings]:
    return grid(*methods, **kwargs).cells


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
