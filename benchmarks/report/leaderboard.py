"""A suite's leaderboard as data: its tables, what was run, and what its columns mean."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.config import Suite
from benchmarks.grid import Grid
from benchmarks.provenance import SUBJECT, made, source_text
from benchmarks.report.measures import Measure, check_metrics
from benchmarks.report.protocol import Protocol, hyperparameters, protocol, shared_part
from benchmarks.report.runs import gather
from benchmarks.report.table import Table, make_tables
from benchmarks.store import Scan

SMOKE = "smoke test, not a result"


@dataclass(frozen=True)
class Leaderboard:
    """shared: the protocol that all tables have in common; own: what is left of it for each table."""

    name: str
    title: str
    about: str
    smoke: bool
    tables: tuple[Table, ...]
    shared: Protocol
    own: tuple[Protocol, ...]
    hyperparameters: dict[str, str]

    @property
    def measures(self) -> list[Measure]:
        """Every measure that some table shows, once."""
        return list({c.measure.id: c.measure for table in self.tables for c in table.columns}.values())


def title_of(suite: Suite) -> str:
    """The suite's title; that of a smoke test says that it is one."""
    return suite.title + (f" ({SMOKE})" if suite.kind == "smoke" else "")


def make_leaderboard(grid: Grid, scan: Scan, metrics: list[str] | None = None) -> Leaderboard:
    """The leaderboard of `grid` from the records in `scan`. `metrics`: ids to show instead of the usual columns.

    Raises SettingsError that names every unknown id.
    """
    if metrics is not None:
        check_metrics(metrics)
    all_runs = gather(grid, scan)
    protocols = [protocol(runs) for runs in all_runs]
    shared = shared_part(protocols)
    if (by := made(grid, scan)).total:
        shared[SUBJECT] = source_text(by, grid.records(scan), scan.verified)
    own = tuple({k: v for k, v in p.items() if k not in shared} for p in protocols)
    suite = grid.suite
    smoke = suite.kind == "smoke"
    title = title_of(suite)
    name = suite.name
    if suite.selection:  # under a name of its own, or it would pass for the whole suite
        name, title = f"{name}-selection", f"{title} (only {suite.selection})"
    tables = tuple(make_tables(all_runs, metrics))
    return Leaderboard(name, title, suite.about, smoke, tables, shared, own, hyperparameters(all_runs))
