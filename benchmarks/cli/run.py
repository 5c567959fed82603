"""`run`, and what is asked before it: `cost`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.cli.asked import Asked, say_other_code, scan_of, unless_named
from benchmarks.cli.console import err, out, say, say_on_terminal, warn
from benchmarks.cli.options import (
    RESULTS,
    CellTimeout,
    Changes,
    DataRoot,
    DryRun,
    ExecutorName,
    Fresh,
    Gpus,
    GpusPerCell,
    Keep,
    MaxRetries,
    Methods,
    RayAddress,
    ResultsDir,
    Scenarios,
    Seeds,
    Slurm,
    SuiteName,
    Track,
    Verbose,
    Workers,
    Yes,
    names,
)
from benchmarks.executors.choice import USUAL, Choice
from benchmarks.request.errors import SettingsError, together
from benchmarks.watch.choice import Watching, chosen
from scenarios.nearest import nearest

if TYPE_CHECKING:
    from benchmarks.executors.contract import Outcome
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
    track: list[str] | None = None
    fresh: bool = False
    keep: bool = False
    choice: Choice = USUAL

    @property
    def data_is_here(self) -> bool:
        """Whether this machine has the data and weights of the cells; with Ray its nodes have them."""
        return self.choice.executor != "ray"

    def devices(self) -> list[str]:
        """One entry a worker. Raises SettingsError, also where the choice does not hold."""
        return self.choice.devices(self.workers, names(self.gpus))


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
            help="keep a folder for each cell: settings, a line an epoch, accuracies and the method after each task",
        ),
    ] = False,
    track: Track = None,
    fresh: Fresh = False,
    keep: Keep = False,
    executor: ExecutorName = "local",
    gpus_per_cell: GpusPerCell = None,
    ray_address: RayAddress = None,
    slurm: Slurm = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="with slurm: return once all is submitted; `run` again picks up")
    ] = False,
    cell_timeout: CellTimeout = None,
    max_retries: MaxRetries = 1,
) -> None:
    """Run every cell of SUITE that has no record yet, then print its leaderboard."""
    asked = Asked(suite, methods, scenarios, seeds, changes, results_dir)
    choice = Choice(executor, gpus_per_cell, ray_address, slurm, detach, cell_timeout, max_retries)
    how = How(workers, gpus, data_root, dry_run, verbose, yes, ddp, logs, track, fresh, keep, choice)
    if not run_suite(asked, how):
        raise typer.Exit(1)


def run_suite(asked: Asked, how: How) -> bool:
    """Runs what has no record yet and writes the tables. Gives whether every cell succeeded, now or before."""
    grid, store, devices, watching = _judged(asked, how)
    from benchmarks.executors.queue import versions
    from benchmarks.records.provenance import to_run

    before = versions(store, grid.cells)  # a record that is newer was not seen by the scan
    scan = scan_of(store)
    missing = to_run(grid, scan, how.fresh, how.keep)
    waiting = {cell.identity for cell in missing}
    finished = [cell for cell in grid.cells if cell.identity not in waiting]
    say_other_code(grid, scan)
    alike = len(grid.cells) - len(finished) - len(missing)
    say(
        f"suite {grid.suite.name}: {len(grid.cells)} cells, {len(finished)} done, {len(missing)} to run"
        + (f", {alike} with the same settings as one of these" if alike else "")
        + (f", {len(grid.impossible)} pairs not applicable" if grid.impossible else "")
    )
    if how.dry_run:
        _foretell(grid, scan, store, missing, devices, how)
        return True
    store.sweep(finished=finished)
    failed = _carry_out(asked.suite, grid.suite.reduced, missing, scan, store, devices, how, watching, before)
    if failed is None:
        return True
    if missing:
        scan = scan_of(store)
    _write_tables(asked, grid, scan, store.folder / "logs" if missing and how.logs else None)
    return _succeeded(grid, scan, store, failed)


def _judged(asked: Asked, how: How) -> tuple[Grid, Store, list[str], Watching]:
    """The grid, its store, a device a worker, logs and trackers. Raises SettingsError with all that is wrong with the
    request."""
    if how.ddp:
        from benchmarks.executors.torchrun import devices_of_ranks, is_first

        how.choice.check(ddp=True)
        devices = devices_of_ranks(how.workers, how.gpus)
        out.quiet = err.quiet = not is_first()
        return *asked.grid_and_store(), devices, Watching(how.logs, chosen(how.track, asked.results_dir))
    devices, (grid, store), trackers = together(
        how.devices, asked.grid_and_store, lambda: chosen(how.track, asked.results_dir)
    )
    return grid, store, devices, Watching(how.logs, trackers)


def _foretell(grid: Grid, scan: Scan, store: Store, missing: list[CellSettings], devices: list[str], how: How) -> None:
    from benchmarks.cli.cost_text import dry_run_text
    from benchmarks.cost.price import price, total_hours
    from benchmarks.cost.rehearse import rehearse
    from benchmarks.cost.seconds import StepTimer
    from benchmarks.records.matching import counts, statuses

    for cell, state in statuses(grid, scan) if how.verbose else ():
        say(f"  {state:<8} {cell.label}")
    if missing:
        store.check_writable(len(missing))
        rehearse(missing, how.data_root, with_data=False, with_weights=how.data_is_here)
        priced = price(missing, StepTimer(devices[0], data_root=how.data_root), say_on_terminal)
        say(dry_run_text(priced, devices, counts(grid, scan), how.logs))
        say_whether_asked(missing, total_hours(priced, len(devices)), devices, how)


def say_whether_asked(cells: list[CellSettings], hours: float, devices: list[str], how: How, verb: str = "run") -> None:
    """Says of `cells`, which take so many `hours`, where `prepare` will refuse to begin without --yes."""
    from benchmarks.cost.price import is_too_long

    if how.choice.here and not how.yes and is_too_long(cells, hours, devices, how.data_root):
        say(f"`{verb}` asks for --yes (make: YES=1), as this is long for processors")


def _carry_out(
    suite: str,
    reduced: str,
    missing: list[CellSettings],
    scan: Scan,
    store: Store,
    devices: list[str],
    how: How,
    watching: Watching,
    before: Versions,
) -> list[Outcome] | None:
    """Runs `missing`, but what another run has done since `before`. Gives the outcomes without success; None in a rank
    that leaves it to another to say so."""
    if not missing and not how.ddp:  # whose ranks may have looked at different moments
        from benchmarks.records.suite_files import remember

        remember(suite, store.folder)
        return []
    prepare(suite, missing, store, devices, how, reduced)
    if how.ddp:
        from benchmarks.executors.torchrun import run_together

        return [] if run_together(missing, store, how.data_root, say, watching, before) else None
    from benchmarks.cli.progress import run_with_progress

    execute = how.choice.build(store.folder, how.data_root, devices, how.workers, watching, before)
    return run_with_progress(out, _longest_first(missing, scan, devices, how), execute, len(devices), store.folder)


def prepare(
    suite: str, cells: list[CellSettings], store: Store, devices: list[str], how: How, reduced: str = "", times: int = 1
) -> None:
    """What is to be known before the first of `cells` is run, and of `times` as many of the like. Raises SettingsError."""
    from benchmarks.cost.price import check_affordable, is_hopeless
    from benchmarks.cost.rehearse import rehearse
    from benchmarks.records.suite_files import remember

    asked = cells * times if how.choice.here and not how.yes else []
    hopeless = is_hopeless(asked, devices, how.data_root)
    if hopeless:  # to be said before data are asked for
        check_affordable(asked, devices, how.data_root, say_on_terminal, reduced)
    store.check_writable(len(cells) * times)
    rehearse(cells, how.data_root, how.data_is_here, how.data_is_here)
    if not hopeless:  # counts every method, which takes a minute where they are many
        check_affordable(asked, devices, how.data_root, say_on_terminal, reduced)
    remember(suite, store.folder)


def _longest_first(missing: list[CellSettings], scan: Scan, devices: list[str], how: How) -> list[CellSettings]:
    from benchmarks.cost.price import quick_seconds
    from benchmarks.executors.order import longest_first

    if how.choice.here and (len(missing) <= len(devices) or len(devices) == 1):
        return missing  # the order saves no time, and whole seeds come first
    return longest_first(missing, scan.records.values(), quick_seconds(missing, how.data_root), len(devices))


def _write_tables(asked: Asked, grid: Grid, scan: Scan, logs: Path | None) -> None:
    from benchmarks.records.recorded import own_file, tables_folder
    from benchmarks.records.scored import with_scored
    from benchmarks.report.overview import write_index
    from benchmarks.report.write import write_report

    grid = with_scored(grid, scan)
    report = write_report(grid, scan, tables_folder(asked.results_dir, grid.suite))
    say(report.text)
    if logs is not None:
        say(f"logs:        {logs}")
    say(f"leaderboard: {report.markdown}")
    more = own_file(asked.results_dir, asked.suite, grid, scan, asked.changes)
    read = {asked.results_dir / "runs" / grid.suite.name: scan}
    say(f"all suites:  {write_index(asked.results_dir, more=more, say=unless_named(scan), read=read)}")


def _succeeded(grid: Grid, scan: Scan, store: Store, failed: list[Outcome]) -> bool:
    """Whether all of `grid` has, now (failed: what has not) and before; says which has not and why."""
    from benchmarks.cli.status import failures

    lines = list(failures(grid, scan, store, {o.cell.identity: o.record for o in failed if o.record is not None}))
    if lines:
        warn(f"{len(lines)} cell{'s' if len(lines) > 1 else ''} failed; `show FILE` prints what a record says of it:")
    for line in lines:
        warn(line)
    return not (lines or failed)


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
        lambda: devices_for(None, names(gpus)),
        lambda: _check_format(format_),
    )
    from benchmarks.cli.cost_text import as_csv, table
    from benchmarks.cost.price import price
    from benchmarks.cost.rehearse import rehearse
    from benchmarks.cost.seconds import StepTimer

    rehearse(grid.cells, data_root, with_data=False, with_weights=False)
    priced = price(grid.cells, StepTimer(devices[0], steps, data_root), say_on_terminal)
    print(as_csv(priced) if format_ == "csv" else table(priced, grid), end="" if format_ == "csv" else "\n")


def _check_format(name: str) -> None:
    if name not in FORMATS:
        raise SettingsError([f"--format {name}{nearest(name, FORMATS)}"])
