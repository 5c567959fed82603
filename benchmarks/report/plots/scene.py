"""One scenario's results as plots need them: who is drawn, under what label, with which records."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.records.record import RunRecord
from benchmarks.records.results import Role, Runs, results_of
from benchmarks.records.store import Scan
from benchmarks.report.leaderboard import make_leaderboard
from benchmarks.report.plots.styles import Style, style_of
from benchmarks.report.table import Row, Table
from benchmarks.request.grid import Grid
from metrics import Summary, summarise_each

Array = NDArray[np.float64]
Counted = Mapping[tuple[str, str], Array]
"""FLOPs of one prediction after each task, [T], by scenario and method: known without a run (benchmarks/cost/count.py)."""
MEASURES = ["acc", "fm.mean", "flops.inference", "flops.training"]


@dataclass(frozen=True)
class Named:
    """A method that is drawn. label: its name, with ⚠ where the table warns of it and with its seeds where others have
    more."""

    method: str
    label: str
    style: Style


@dataclass(frozen=True)
class Entry(Named):
    """A method that has results. ranked: whether it has as many seeds as any."""

    role: Role
    ranked: bool
    runs: Runs
    summaries: dict[str, Summary | None]

    @property
    def records(self) -> tuple[RunRecord, ...]:
        return tuple(self.runs.done(self.method).values())

    def percent(self, id: str) -> tuple[float, float]:
        """A score in percent and the half width of its interval, 0 where there is none; NaN where there is no score."""
        summary = self.summaries[id]
        if summary is None:
            return math.nan, 0.0
        return 100 * summary.mean, 100 * (0.0 if math.isnan(summary.half_width) else summary.half_width)

    def over_seeds(self, name: str, scale: float = 1) -> tuple[Array, Array]:
        """Means and half widths of the 95% intervals over seeds of one of `Runs.curves`, task by task; NaN where any
        seed has NaN, half widths also where there is one seed."""
        return summarise_each(scale * self.runs.curve(self.method, name))


@dataclass(frozen=True)
class Scene:
    """entries: in the suite's order, the same in every scenario. absent: why each other method is not drawn, in a
    word. notes: what the table says of its rows. smoke: whether the suite is a mere smoke test."""

    runs: Runs
    table: Table
    entries: tuple[Entry, ...]
    absent: dict[str, str]
    notes: tuple[str, ...]
    smoke: bool
    counted: Mapping[str, Array] = field(default_factory=dict)

    @property
    def scenario(self) -> str:
        return self.runs.scenario

    @property
    def n_tasks(self) -> int:
        return len(self.entries[0].records[0].matrix.correct) - 1

    @property
    def heading(self) -> str:
        smoke = ", smoke test, not a result" if self.smoke else ""
        return f"{self.scenario} ({self.runs.setting}-incremental{smoke})"

    def seeds_text(self, interval: str) -> str:
        """How many seeds stand behind the means, and what the `interval` drawn ("bars", "bands") is."""
        counts = {len(entry.records) for entry in self.entries}
        most = max(counts)
        if most == 1:
            return f"One seed: no {interval}, differences may be chance."
        seeds = f"{most} seeds" if len(counts) == 1 else f"up to {most} seeds"
        return f"Mean over {seeds}, {interval}: 95% interval (Student t)."

    def absent_text(self, but: Collection[str] = ()) -> str:
        """ "Not drawn: pnn (n/a)."; empty where every method is. but: those without results that are drawn."""
        named = ", ".join(f"{method} ({why})" for method, why in self.absent.items() if method not in but)
        return f"Not drawn: {named}." if named else ""


def make_scenes(grid: Grid, scan: Scan, counted: Counted | None = None) -> list[Scene]:
    """One Scene a scenario, in the suite's order, with the same warnings and notes as the leaderboard."""
    results = results_of(grid, scan)
    board = make_leaderboard(results, MEASURES)
    return [
        _scene(runs, table, board.smoke, counted or {}) for runs, table in zip(results.runs, board.tables, strict=True)
    ]


def _scene(runs: Runs, table: Table, smoke: bool, counted: Counted) -> Scene:
    rows = {row.method: row for row in table.rows}
    entries = tuple(_entry(runs, table, rows[method]) for method in runs.roles if rows[method].n)
    absent = {method: rows[method].cells[0].text for method in runs.roles if not rows[method].n}
    notes = list(dict.fromkeys(note for row in table.rows for note in _notes(table, row)))
    not_run = [method for method, why in absent.items() if why == "not run"]
    if entries and not_run:
        notes.append(f"not run: {', '.join(not_run)}")
    without = {method: flops for (name, method), flops in counted.items() if name == runs.scenario and method in absent}
    return Scene(runs, table, entries, absent, tuple(notes), smoke, without)


def _entry(runs: Runs, table: Table, row: Row) -> Entry:
    cells = dict(zip(MEASURES, row.cells))  # those after them are other readings of ACC
    warned = row.warned or any(cell.warned for cell in row.cells)
    label = ("⚠ " if warned else "") + row.method + ("" if row.n == table.n else f" ({row.n} of {table.n} seeds)")
    summaries = {id: cell.summary for id, cell in cells.items()}
    return Entry(row.method, label, style_in(runs, row.method), row.role, row.n == table.n, runs, summaries)


def style_in(runs: Runs, method: str) -> Style:
    """The style of what the suite calls `method`."""
    settings = runs.settings.get(method)
    return style_of(method) if settings is None else style_of(str(settings["method"]["name"]), method)


def _notes(table: Table, row: Row) -> list[str]:
    """What the table says of a row and of the cells that are plotted, with whom and what it says it of."""
    about = [(row.method, row.notes)]
    for column, cell in zip(table.columns, row.cells, strict=True):
        if column.measure.id in MEASURES and (cell.summary or not row.n):
            about.append((f"{row.method}, {column.measure.label}" if row.n else row.method, cell.notes))
    texts = [(who, table.notes[k - 1]) for who, numbers in about for k in numbers]
    named = re.compile(rf"(?<![\w-]){re.escape(row.method)}(?![\w-])")
    return [text if named.search(text) else f"{who}: {text}" for who, text in texts]
