"""`status`: where the cells of a suite stand, once or again and again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from benchmarks.cli.asked import Asked, say_other_code, scan_of
from benchmarks.cli.console import out, say
from benchmarks.cli.options import RESULTS, Changes, Methods, ResultsDir, Scenarios, Seeds, SuiteName
from benchmarks.wording import last_line

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.records.record import RunRecord
    from benchmarks.records.store import Scan, Store
    from benchmarks.request.grid import Grid

USUAL_SECONDS = "2"


class StatusCommand(TyperCommand):
    """--watch may stand without its number, which typer does not know of."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        for k in reversed([k for k, word in enumerate(given) if word == "--watch"]):
            if not _is_number(given[k + 1] if k + 1 < len(given) else ""):
                given.insert(k + 1, USUAL_SECONDS)
        return super().parse_args(ctx, given)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def status(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    results_dir: ResultsDir = RESULTS,
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            min=0.1,
            metavar="[seconds]",
            help="show it again every 2 (or so many) seconds until no cell is missing and none runs",
        ),
    ] = None,
) -> None:
    """Which cells of SUITE are done, missing or failed, and how far those have come that run."""
    grid, store = Asked(suite, methods, scenarios, seeds, changes, results_dir).grid_and_store()
    if watch is not None:
        _watch(grid, store, watch)
    from benchmarks.records.matching import counts, other_settings
    from benchmarks.records.scored import with_scored

    scan = scan_of(store)
    grid = with_scored(grid, scan)
    out.print(_table(grid, scan))
    say(_counted(counts(grid, scan)))
    for line in other_settings(grid, scan):
        say(line)
    say_other_code(grid, scan)
    for line in (*Underway(grid, store).lines(), *failures(grid, scan, store, store.failures())):
        say(line)


def _watch(grid: Grid, store: Store, seconds: float) -> None:
    """Shows what runs and how much is done, on a terminal in place of what was shown before, until all is."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from benchmarks.plain_text import one_line
    from benchmarks.records.matching import counts
    from benchmarks.records.scored import with_scored

    records, underway = _Records(store), Underway(grid, store)
    with Live(console=out, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
        while True:
            running = list(underway.lines())  # first: what ends now has left its record when that is read
            scan = records.scan()
            kinds = counts(grid, scan)
            if not (running or kinds["missing"]):
                return
            told = [f"{datetime.now():%H:%M:%S}  {_counted(kinds)}", *running]
            if out.is_terminal:
                shown = [Text(one_line(line), no_wrap=True, overflow="ellipsis") for line in told]
                live.update(Group(*shown, _table(with_scored(grid, scan), scan)), refresh=True)
            else:
                for line in told:
                    say(line)
            time.sleep(seconds)


@dataclass
class _Records:
    """The records of `store`, read again only where a file has changed."""

    store: Store
    _files: frozenset[tuple[str, int, int]] | None = None
    _scan: Scan | None = None

    def scan(self) -> Scan:
        try:
            with os.scandir(self.store.folder) as entries:
                states = [(e.name, e.stat()) for e in entries if e.name.endswith(".json")]
        except FileNotFoundError:
            states = []
        files = frozenset((name, state.st_mtime_ns, state.st_size) for name, state in states)
        if self._scan is None or files != self._files:
            self._files, self._scan = files, self.store.scan()
        return self._scan


def _table(grid: Grid, scan: Scan) -> Table:
    from rich.table import Table

    from benchmarks.records.matching import counts, statuses

    kinds, standing = counts(grid, scan), statuses(grid, scan)
    found: dict[tuple[str, str], list[str]] = {}
    for cell, state in standing:
        found.setdefault((cell.scenario_name, cell.method_name), []).append(state)
    table = Table(title=None, box=None, pad_edge=False)
    for name in ("scenario", "method", *kinds):
        table.add_column(name, justify="left" if name in ("scenario", "method") else "right")
    for scenario in grid.suite.scenarios:
        for method in (*grid.suite.methods, *grid.scored_names):
            here = found.get((scenario, method), [])
            shown = [str(here.count(k) or "") for k in kinds]
            if (scenario, method) in grid.impossible:
                shown[0] = "n/a"
            table.add_row(scenario, method + " (scored)" * (method in grid.scored_names), *shown)
    return table


def _counted(kinds: dict[str, int]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in kinds.items())


def failures(grid: Grid, scan: Scan, store: Store, again: Mapping[str, RunRecord]) -> Iterator[str]:
    """A line for each cell without success, with the file of its record. again: records of runs that came to nothing,
    by identity, some of which left a good one of an earlier run in its place."""
    for cell in grid.places:
        record, place = scan.records.get(cell.identity), scan.places.get(cell.identity, "")
        file, kept = store.folder / place, ""
        if record is not None and record.status not in ("failed", "diverged") and cell.identity in again:
            record, file = again[cell.identity], store.failure(again[cell.identity])
            kept = ", run again; the tables have the earlier run"
        if record is not None and record.status in ("failed", "diverged"):
            yield f"{record.status}: {cell.label}: {last_line(record.error)} ({file}{kept})"


class Underway:
    """The cells of `grid` that runs now do, and those that wait in Slurm's queue, which is asked every `ask` seconds."""

    def __init__(self, grid: Grid, store: Store, ask: float = 10.0):
        self.grid, self.store, self.ask = grid, store, ask
        self._jobs: dict[str, tuple[str, str]] = {}
        self._asked = float("-inf")

    def lines(self) -> Iterator[str]:
        from benchmarks.executors.slurm_queue import submitted
        from benchmarks.records.claims import live_claims
        from benchmarks.records.matching import distinct

        claims = live_claims(self.store.folder)
        if time.monotonic() - self._asked >= self.ask:
            self._jobs, self._asked = submitted(self.store.folder), time.monotonic()
        for cell in distinct(self.grid.cells):
            claim, (job, state) = claims.get(cell.identity), self._jobs.get(cell.identity, ("", ""))
            in_job = f", job {job}" if job else ""
            if claim is not None:
                since = datetime.fromtimestamp(claim.since).strftime("%Y-%m-%d %H:%M")
                come = (
                    claim.progress.text
                    if claim.progress
                    else f"0 of {cell.resolved.document['scenario']['tasks']} tasks done"
                )
                yield f"running: {cell.label}: on {claim.host} ({claim.where}{in_job}) since {since}, {come}"
            elif job:
                yield f"{state.lower()}: {cell.label}: job {job}"
