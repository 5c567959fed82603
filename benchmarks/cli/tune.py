"""`tune`: hyperparameters chosen on validation images, as a suite."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.cli.asked import scan_of
from benchmarks.cli.console import out, say, say_on_terminal, warn
from benchmarks.cli.options import (
    RESULTS,
    CellTimeout,
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
    Slurm,
    SuiteName,
    Workers,
    Yes,
    names,
)
from benchmarks.cli.run import How, prepare, say_whether_asked
from benchmarks.executors.choice import Choice
from benchmarks.request.errors import together

if TYPE_CHECKING:
    from benchmarks.records.record import RunRecord
    from benchmarks.records.store import Store
    from benchmarks.request.suite import CellSettings, Suite
    from benchmarks.tuning.rounds import Records
    from benchmarks.tuning.studies import Study


@dataclass(frozen=True)
class Tuning:
    """A request to tune. out: the file of the suite that is written."""

    name: str
    suite: Suite
    studies: list[Study]
    store: Store
    out: Path
    devices: list[str]


def tune(
    suite: SuiteName,
    space: Annotated[
        Path, typer.Option("--space", help="YAML: the rule, sampler, number of trials, and a space for each method")
    ],
    methods: Methods = None,
    scenarios: Scenarios = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="the suite to write; default RESULTS_DIR/suites/SUITE-tuned.yaml")
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    data_root: DataRoot = None,
    results_dir: ResultsDir = RESULTS,
    dry_run: DryRun = False,
    yes: Yes = False,
    fresh: Fresh = False,
    keep: Keep = False,
    executor: ExecutorName = "local",
    gpus_per_cell: GpusPerCell = None,
    ray_address: RayAddress = None,
    slurm: Slurm = None,
    cell_timeout: CellTimeout = None,
    max_retries: MaxRetries = 1,
) -> None:
    """Choose hyperparameters of SUITE by trials on a part of its training data, and write them as a suite to run.

    Test images are never read. Trials lie in results/tuning/SUITE; the same command continues a tuning that was stopped.
    """
    choice = Choice(executor, gpus_per_cell, ray_address, slurm, False, cell_timeout, max_retries)
    how = How(workers, gpus, data_root, dry_run, yes=yes, fresh=fresh, keep=keep, choice=choice)
    tuning = _checked(suite, space, names(methods), names(scenarios), to, results_dir, how)
    if not _carried_out(tuning, how):
        raise typer.Exit(1)


def _checked(
    name: str,
    space_file: Path,
    methods: list[str] | None,
    scenarios: list[str] | None,
    to: Path | None,
    results: Path,
    how: How,
) -> Tuning:
    """Raises SettingsError with all that is wrong with the request."""
    from benchmarks.request.load import load_suite
    from benchmarks.tuning.library import check_optuna

    suite, *_ = together(partial(load_suite, name), check_optuna)
    from benchmarks.records.store import Store
    from benchmarks.records.suite_files import check_own
    from benchmarks.tuning.chosen_suite import check_target
    from benchmarks.tuning.space import read_space
    from benchmarks.tuning.studies import plan

    path = to or results / "suites" / f"{suite.name}-tuned.yaml"
    folder = results / "tuning" / suite.name
    devices, studies, *_ = together(
        how.devices,
        lambda: plan(suite, read_space(space_file), methods, scenarios, str(space_file)),
        lambda: check_target(path),
        lambda: check_own(name, suite.name, folder),
    )
    return Tuning(name, suite, studies, Store(folder), path, devices)


def _carried_out(tuning: Tuning, how: How) -> bool:
    """Runs what has no record yet and writes the suite. Gives whether all trials succeeded."""
    from benchmarks.tuning.chosen_suite import tuned_of, write_suite
    from benchmarks.tuning.rounds import Unfinished, tune

    studies, store = tuning.studies, tuning.store
    space = studies[0].space
    for study in studies:
        say(f"{study.label}: {space.trials} trials")
    if how.dry_run:
        _foretell(tuning, how)
        return True
    rounds = _Rounds(tuning, how)
    try:
        records = tune(studies, rounds.run, say)
    except Unfinished as error:
        warn(str(error))
        warn(f"the records in {store.folder} say why; the same command tries these trials again")
        return False
    tuned = tuned_of(studies, records, store.folder)
    path = write_suite(tuning.out, tuning.name, tuning.suite, tuned)
    say(
        f"{tuned.text}, on {space.validation:.0%} of the training images: {sum(c.flops for c in tuned.choices):.3g} FLOP"
    )
    say(f"trials: {store.folder}")
    say(f"suite:  {path}")
    return True


class _Rounds:
    """Runs the cells of each round by the executor that was asked for. failed: the records of those that failed, some of
    which have a good one of other code in the store."""

    def __init__(self, tuning: Tuning, how: How):
        self.tuning, self.how, self.is_first = tuning, how, True
        self.failed: dict[str, RunRecord] = {}

    def run(self, cells: list[CellSettings]) -> Records:
        from benchmarks.cli.progress import run_with_progress
        from benchmarks.executors.queue import versions
        from benchmarks.records.provenance import to_run
        from benchmarks.request.grid import Grid
        from benchmarks.tuning.studies import is_settled

        tuning, how, store = self.tuning, self.how, self.tuning.store
        grid = Grid(tuning.suite, cells, {})
        before = versions(store, cells)
        scan = scan_of(store)
        missing = [
            cell
            for cell in to_run(grid, scan, how.fresh, how.keep)
            if how.fresh or cell.identity not in scan.records or not is_settled(scan.records[cell.identity])
        ]
        waiting = {cell.identity for cell in missing}
        store.sweep(finished=[cell for cell in cells if cell.identity not in waiting])
        if not missing:
            return scan.records | self.failed
        if self.is_first:
            self.is_first = False
            space = tuning.studies[0].space
            rounds = -(-max(space.trials - len(study.trials) for study in tuning.studies) // space.at_once)
            prepare(tuning.name, missing, store, tuning.devices, how, times=rounds)
        execute = how.choice.build(store.folder, how.data_root, tuning.devices, how.workers, before=before)
        outcomes = run_with_progress(out, missing, execute, len(tuning.devices), store.folder)
        self.failed |= {o.cell.identity: o.record for o in outcomes if o.record is not None}
        return scan_of(store).records | self.failed


def _foretell(tuning: Tuning, how: How) -> None:
    from benchmarks.cli.cost_text import hours_text
    from benchmarks.cost.price import price, total_hours
    from benchmarks.cost.rehearse import rehearse
    from benchmarks.cost.seconds import StepTimer
    from benchmarks.tuning.rounds import cells_of

    some = cells_of(trial for study in tuning.studies for trial in study.next_trials()[:1])
    n = tuning.studies[0].space.trials
    tuning.store.check_writable(len(some) * n)
    rehearse(some, how.data_root, with_data=False, with_weights=how.data_is_here)
    hours = total_hours(price(some, StepTimer(tuning.devices[0], data_root=how.data_root), say_on_terminal), 1)
    hours *= n / len(tuning.devices)
    say(
        f"{len(some) * n} cells, about {hours_text(hours)} with {len(tuning.devices)} workers, less what has run; "
        "nothing was run"
    )
    say_whether_asked(some * n, hours, tuning.devices, how, "tune")
