"""A suite's leaderboard as data: its tables, what was run, and what its columns mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from benchmarks.records.columns import Measure, check_metrics
from benchmarks.records.matching import records_of
from benchmarks.records.provenance import SUBJECT, made, source_text
from benchmarks.records.results import Results
from benchmarks.report.protocol import Protocol, hyperparameters, protocol, shared_part
from benchmarks.report.table import Table, make_tables
from benchmarks.request.suite import Suite

SMOKE = "smoke test, not a result"


@dataclass(frozen=True)
class Leaderboard:
    """shared: the protocol that all tables have in common; protocols: what is left of it for each table."""

    name: str
    title: str
    about: str
    smoke: bool
    tables: tuple[Table, ...]
    shared: Protocol
    protocols: tuple[Protocol, ...]
    hyperparameters: dict[str, str]

    @property
    def measures(self) -> list[Measure]:
        """Every measure that some table shows, once."""
        return list({c.measure.id: c.measure for table in self.tables for c in table.columns}.values())


def title_of(suite: Suite) -> str:
    """The suite's title; that of a smoke test says that it is one, that of a selection what it is of."""
    title = suite.title + (f" ({SMOKE})" if suite.kind == "smoke" else "")
    return f"{title} (only {suite.selection})" if suite.selection else title


def name_of(suite: Suite) -> str:
    """What files about `suite` are called; those of a selection otherwise, or they would pass for the whole suite."""
    return f"{suite.name}-selection" if suite.selection else suite.name


def make_leaderboard(results: Results, metrics: list[str] | None = None) -> Leaderboard:
    """The leaderboard of a suite. `metrics`: ids to show instead of the usual columns.

    Raises SettingsError that names every unknown id.
    """
    if metrics is not None:
        check_metrics(metrics)
    return _leaderboard(results, None if metrics is None else tuple(metrics))


@lru_cache(maxsize=1)  # a suite's tables and its part of the page are the same
def _leaderboard(results: Results, metrics: tuple[str, ...] | None) -> Leaderboard:
    suite, scan, all_runs = results.grid.suite, results.scan, results.runs
    protocols = [protocol(runs) for runs in all_runs]
    shared = shared_part(protocols)
    if (by := made(results.grid, scan)).total:
        shared[SUBJECT] = source_text(by, records_of(results.grid, scan), scan.verified)
    remaining = tuple({k: v for k, v in p.items() if k not in shared} for p in protocols)
    tables, smoke = tuple(make_tables(all_runs, metrics)), suite.kind == "smoke"
    return Leaderboard(
        name_of(suite), title_of(suite), suite.about, smoke, tables, shared, remaining, hyperparameters(all_runs)
    )
