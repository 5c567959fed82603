"""`run`, and what is asked before and after it: `cost` and `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.cli.asked import Asked, say_other_code, scan_of, unless_named
from benchmarks.cli.console import err, out, say, say_on_terminal, warn
from benchmarks.cli.options import (
    RESULTS,
    Changes,
    DataRoot,
    DryRun,
    Fresh,
    Gpus,
    Keep,
    Methods,
    ResultsDir,
    Scenarios,
    Seeds,
    SuiteName,
    Verbose,
    Workers,
    Yes,
    names,
)
from benchmarks.executors.choice import USUAL, Choice
from benchmarks.request.errors import SettingsError, together
from scenarios.nearest import nearest

if TYPE_CHECKING:
    from benchmarks.executors.queue import Versions
    from benchmarks.records.store import Scan, Store
    from benchmarks.request.grid import Grid
    from benchmarks.request.suite import CellSettings

FORMATS = ("table", "csv")
"""In which `cost` writes."""


@dataclass(frozen=True)
class How:
    """How cells are run, as the options of the same names were given; `logs`: --keep-logs."""

    workers: int | None = None
    gpus: str | None = None
    data_root: str | None = None
    dry_run: bool = False
    verbose: bool = False
    yes: bool = False
    ddp: bool = False
    logs: bool = False
    fresh: bool = False
    keep: bool = False
    choice: Choice = USUAL


def run(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    workers: Workers = None,
    gpus: Gpus = None,
    data_root: DataRoot = None,
    results_dir: ResultsDir = RESULTS,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    yes: Yes = False,
    ddp: Annotated[bool, typer.Option("--ddp", help="under torchrun: all its processes share every cell")] = False,
    logs: Annotated[
        bool,
        typer.Option(
            "--keep-logs",
            help="keep a folder for each cell: its settings, a line an epoch, the method after each task",
        ),
    ] = False,
    fresh: Fresh = False,
    keep: Keep = False,
    executor: Annotated[
        str, typer.Option("--executor", help="who runs the cells: local (this machine), ray or slurm (a cluster)")
    ] = "local",
    gpus_per_cell: Annotated[
        float | None,
        typer.Option("--gpus-per-cell", help="0.25 packs four cells on a GPU (local with --gpus, or ray)"),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option("--ray-address", help="with ray: auto or HOST:PORT of a cluster; default one started here"),
    ] = None,
    slurm: Annotated[
        str | None,
        typer.Option("--slurm", help="with slurm: options of sbatch, e.g. partition=gpu,time=4:00:00,gpus=1"),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="with slurm: return once all is submitted; `run` again picks up")
    ] = False,
    cell_timeout: Annotated[
        float | None,
        typer.Option(
            "--cell-timeout",
            min=0,
            help="seconds after which a cell is stopped and recorded as failed; run again, it goes on from its last "
            "finished task",
        ),
    ] = None,
    max_retries: Annotated[
        int, typer.Option("--max-retries", min=0, help="how often a cell is tried again whose process died")
    ] = 1,
) -> None:
    """Run every cell of SUITE that has no record yet, then print its leaderboard."""
    asked = Asked(suite, methods, scenarios, seeds, changes, results_dir)
    choice = Choice(executor, gpus_per_cell, ray_address, slurm, detach, cell_timeout, max_retries)
    how = How(workers, gpus, data_root, dry_run, verbose, yes, ddp, logs, fresh, keep, choice)
    if not run_suite(asked, how):
        raise typer.Exit(1)


def run_suite(asked: Asked, how: How) -> bool:
    """Runs what has no record yet and writes the tables. Gives whether every cell succeeded, now or before."""
    grid, store, devices = _judged(asked, how)
    from benchmarks.executors.queue import versions
    from benchmarks.records.provenance import to_run

    before = versions(store, grid.cells)  # a record that is newer was not seen by the scan
    scan = scan_of(store)
    missing = to_run(grid, scan, how.fresh, how.keep)
    say_other_code(grid, scan)
    say(
        f"suite {grid.suite.name}: {len(grid.cells)} cells, {len(grid.cells) - len(missing)} done, {len(missing)} to run"
        + (f", {len(grid.impossible)} pairs not applicable" if grid.impossible else "")
    )
    if how.dry_run:
        _foretell(grid, scan, missing, devices, how)
        return True
    waiting = {cell.identity for cell in missing}
    store.sweep(finished=[cell for cell in grid.cells if cell.identity not in waiting])
    failed = _carry_out(asked.suite, grid.suite.reduced, missing, scan, store, devices, how, before)
    if failed is None:
        return True
    if missing:
        scan = scan_of(store)
    _write_tables(asked, grid, scan, store.folder / "logs" if missing and how.logs else None)
    return _succeeded(asked.suite, grid, scan, failed)


def _judged(asked: Asked, how: How) -> tuple[Grid, Store, list[str]]:
    """The grid, its store and a device a worker. Raises SettingsError with all that is wrong with the request."""
    if how.ddp:
        from benchmarks.executors.torchrun import devices_of_ranks, is_first

        how.choice.check(ddp=True)
        devices = devices_of_ranks(how.workers, how.gpus)
        out.quiet = err.quiet = not is_first()
        return *asked.grid_and_store(), devices
    from benchmarks.executors.devices import devices_for

    devices, (grid, store), _ = together(
        lambda: how.choice.devices(devices_for(how.workers, names(how.gpus))),
        asked.grid_and_store,
        how.choice.check,
    )
    return grid, store, devices


def _foretell(grid: Grid, scan: Scan, missing: list[CellSettings], devices: list[str], how: How) -> None:
    from benchmarks.cli.cost_text import dry_run_text
    from benchmarks.cost.price import price
    from benchmarks.cost.rehearse import rehearse
    from benchmarks.cost.seconds import StepTimer
    from benchmarks.records.matching import counts, statuses

    for cell, state in statuses(grid, scan) if how.verbose else ():
        say(f"  {state:<8} {cell.label}")
    if missing:
        rehearse(missing, how.data_root, with_data=False)
        priced = price(missing, StepTimer(devices[0], data_root=how.data_root), say_on_terminal)
        say(dry_run_text(priced, devices, counts(grid, scan), how.logs))


def _carry_out(
    suite: str,
    reduced: str,
    missing: list[CellSettings],
    scan: Scan,
    store: Store,
    devices: list[str],
    how: How,
    before: Versions,
) -> int | None:
    """Runs `missing`, but what another run has done since `before`. Gives how many did not succeed; None in a rank that
    leaves it to another to say so."""
    from benchmarks.records.suite_files import remember

    if not missing:
        remember(suite, store.folder)
        return 0
    from benchmarks.cost.price import check_affordable
    from benchmarks.cost.rehearse import rehearse

    if not how.yes and how.choice.here:
        check_affordable(missing, devices, how.data_root, say_on_terminal, reduced)
    store.check_writable(len(missing))
    remember(suite, store.folder)
    rehearse(missing, how.data_root, with_data=how.choice.executor != "ray")  # whose nodes have it
    if how.ddp:
        from benchmarks.executors.torchrun import run_together

        return 0 if run_together(missing, store, how.data_root, say, how.logs) else None
    from benchmarks.cli.progress import run_with_progress

    execute = how.choice.build(store.folder, how.data_root, devices, how.workers, how.logs, before)
    return run_with_progress(out, _longest_first(missing, scan, devices, how), execute, len(devices))


def _longest_first(missing: list[CellSettings], scan: Scan, devices: list[str], how: How) -> list[CellSettings]:
    from benchmarks.cost.price import quick_seconds
    from benchmarks.executors.order import longest_first

    if how.choice.here and (len(missing) <= len(devices) or len(devices) == 1):
        return missing  # the order saves no time, and whole seeds come first
    return longest_first(missing, scan.records.values(), quick_seconds(missing, how.data_root))


def _write_tables(asked: Asked, grid: Grid, scan: Scan, logs: Path | None) -> None:
    from benchmarks.report.overview import own_file, tables_folder, write_index
    from benchmarks.report.write import write_report

    report = write_report(grid, scan, tables_folder(asked.results_dir, grid.suite))
    say(report.text)
    if logs is not None:
        say(f"logs:        {logs}")
    say(f"leaderboard: {report.markdown}")
    more = own_file(asked.results_dir, asked.suite, grid, scan, asked.changes)
    say(f"all suites:  {write_index(asked.results_dir, more=more, say=unless_named(scan))}")


def _succeeded(suite: str, grid: Grid, scan: Scan, failed: int) -> bool:
    """Whether all of `grid` has, now (failed: how many have not) and before; says so where not."""
    from benchmarks.records.matching import statuses

    unsuccessful = [cell for cell, status in statuses(grid, scan) if status in ("failed", "diverged")]
    if failed or unsuccessful:
        warn(f"{len(unsuccessful)} cells failed; `status {suite}` says which and why")
        return False
    return True


def cost(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    changes: Changes = None,
    gpus: Annotated[str | None, typer.Option("--gpus", help="measure steps on this CUDA device, e.g. 0")] = None,
    data_root: DataRoot = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="steps measured for each phase of two tasks")] = 3,
    format_: Annotated[
        str, typer.Option("--format", help="table, or csv with a row for each task of a scenario and method")
    ] = "table",
) -> None:
    """What SUITE costs, without training: parameters, FLOPs, stored bytes, and the hours on this machine."""
    from benchmarks.executors.devices import devices_for

    grid, devices, _ = together(
        Asked(suite, methods, scenarios, None, changes).grid,
        lambda: devices_for(1, names(gpus)),
        lambda: _check_format(format_),
    )
    from benchmarks.cli.cost_text import as_csv, table
    from benchmarks.cost.price import price
    from benchmarks.cost.rehearse import rehearse
    from benchmarks.cost.seconds import StepTimer

    rehearse(grid.cells, data_root, with_data=False)
    priced = price(grid.cells, StepTimer(devices[0], steps, data_root), say_on_terminal)
    print(as_csv(priced) if format_ == "csv" else table(priced, grid), end="" if format_ == "csv" else "\n")


def _check_format(name: str) -> None:
    if name not in FORMATS:
        raise SettingsError([f"--format {name}{nearest(name, FORMATS)}"])


def status(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    results_dir: ResultsDir = RESULTS,
) -> None:
    """Which cells of SUITE are done, missing or failed."""
    grid, store = Asked(suite, methods, scenarios, seeds, changes, results_dir).grid_and_store()
    from rich.table import Table

    from benchmarks.records.matching import counts, other_settings, statuses

    scan = scan_of(store)
    standing = statuses(grid, scan)
    kinds = counts(grid, scan)
    table = Table(title=None, box=None, pad_edge=False)
    for name in ("scenario", "method", *kinds):
        table.add_column(name, justify="left" if name in ("scenario", "method") else "right")
    for scenario in grid.suite.scenarios:
        for method in grid.suite.methods:
            here = [s for c, s in standing if (c.scenario_name, c.method_name) == (scenario, method)]
            shown = [str(here.count(k) or "") for k in kinds]
            if (scenario, method) in grid.impossible:
                shown[0] = "n/a"
            table.add_row(scenario, method, *shown)
    out.print(table)
    out.print(", ".join(f"{n} {kind}" for kind, n in kinds.items()))
    for line in other_settings(grid, scan):
        say(line)
    say_other_code(grid, scan)
    _say_underway(grid, store)
    for cell, state in standing:
        if state in ("failed", "diverged"):
            error = (scan.records[cell.identity].error or "").strip().splitlines()
            say(f"{state}: {cell.label}: {error[-1] if error else ''}")


def _say_underway(grid: Grid, store: Store) -> None:
    """A line for each cell that a run now does, and for each that waits in Slurm's queue."""
    from benchmarks.executors.slurm_queue import submitted
    from benchmarks.records.claims import live_claims

    claims, jobs = live_claims(store.folder), submitted(store.folder)
    for cell in grid.cells:
        claim, (job, state) = claims.get(cell.identity), jobs.get(cell.identity, ("", ""))
        in_job = f", job {job}" if job else ""
        if claim is not None:
            since = datetime.fromtimestamp(claim.since).strftime("%Y-%m-%d %H:%M")
            tasks = f"{claim.done} of {cell.resolved.document['scenario']['tasks']} tasks done"
            say(f"running: {cell.label}: on {claim.host} ({claim.where}{in_job}) since {since}, {tasks}")
        elif job:
            say(f"{state.lower()}: {cell.label}: job {job}")
