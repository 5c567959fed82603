"""`publish` and `reproduce`: records that are committed, and what was published elsewhere beside them."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.cli.asked import Asked, named, scan_of, unless_named
from benchmarks.cli.console import out, say, warn
from benchmarks.cli.options import (
    RESULTS,
    DataRoot,
    DryRun,
    Fresh,
    Gpus,
    Keep,
    Methods,
    ResultsDir,
    Scenarios,
    Seeds,
    SeveralCommits,
    SeveralMachines,
    SuiteName,
    Verbose,
    Workers,
    Yes,
    names,
)
from benchmarks.cli.run import How, run_suite
from benchmarks.request.errors import SettingsError


def publish(
    suite: SuiteName,
    results_dir: ResultsDir = RESULTS,
    several_commits: SeveralCommits = False,
    several_machines: SeveralMachines = False,
    partial: Annotated[bool, typer.Option("--partial", help="leave cells that have not run for later")] = False,
    verify: Annotated[
        int | None,
        typer.Option(
            "--verify",
            min=1,
            help="publish nothing, but run this many published cells again, compare, and write down what came out",
        ),
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    data_root: DataRoot = None,
) -> None:
    """Copy the checked records of SUITE and their tables into results/published/, to be committed."""
    asked = Asked(suite, results_dir=results_dir)
    if verify is None:
        publish_suite(asked, several_commits, several_machines, partial)
        return
    from benchmarks.executors.devices import devices_for

    if not verify_suite(asked, verify, devices_for(workers, names(gpus)), data_root):
        raise typer.Exit(1)


def publish_suite(
    asked: Asked, several_commits: bool = False, several_machines: bool = False, partial: bool = False
) -> None:
    """Publishes the suite and renews the pages that show what is published. Raises SettingsError where it cannot be."""
    grid, store = asked.grid_and_store()
    from benchmarks.ledger.order import ORDERS
    from benchmarks.ledger.render import write_ledger
    from benchmarks.records.publishable import Allowed
    from benchmarks.records.published import PublishedStore
    from benchmarks.records.scored import with_scored
    from benchmarks.report import publish as publishing
    from benchmarks.report.overview import write_guide, write_index

    results, scan = asked.results_dir, scan_of(store)
    grid = with_scored(grid, scan)
    allowed = Allowed(several_commits, several_machines, partial)
    folder = publishing.publish_suite(grid, scan, results / "published", allowed)
    write_index(results, published=True)
    write_guide(results, published=True)
    count = len(PublishedStore(folder).scan().records)
    say(f"published {count} records of {grid.suite.name}: {folder}")
    if grid.suite.kind == "protocol" or (ORDERS / f"{grid.suite.name}.csv").is_file():
        say(f"ledger: {write_ledger(results, published=True)[0]}")


def verify_suite(asked: Asked, n: int, devices: list[str], data_root: str | None) -> bool:
    """Runs `n` published cells again and renews the pages. Gives whether all of them came out equal."""
    grid, _ = asked.grid_and_store()
    from benchmarks.cli.progress import run_with_progress
    from benchmarks.executors.local import run_local
    from benchmarks.records import verify
    from benchmarks.records.matching import matched_by_name
    from benchmarks.records.provenance import traced
    from benchmarks.records.published import PublishedStore
    from benchmarks.records.scored import with_scored
    from benchmarks.records.verified import FILE
    from benchmarks.report.overview import write_index
    from benchmarks.report.write import write_report

    published = asked.results_dir / "published"
    found = verify.verify_suite(
        grid,
        published,
        n,
        lambda cells, to: run_with_progress(
            out, cells, lambda chosen: run_local(chosen, to, data_root, devices), len(devices), to
        ),
    )
    folder = published / grid.suite.name
    stored = PublishedStore(folder).scan()
    grid = with_scored(grid, stored, by_name=True)
    scan = traced(named(matched_by_name(grid, stored)), folder)
    for line in verify.text_of(found, scan):
        say(line)
    say(f"verified: {folder / FILE}")
    say(f"leaderboard: {write_report(grid, scan, folder).markdown}")
    write_index(asked.results_dir, published=True, say=unless_named(scan))
    return all(cell.equal for cell in found.cells)


def reproduce(
    protocols: Annotated[
        list[str] | None, typer.Argument(metavar="[PROTOCOL...]", help="suites of kind protocol; none: all of them")
    ] = None,
    methods: Methods = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    workers: Workers = None,
    gpus: Gpus = None,
    data_root: DataRoot = None,
    results_dir: ResultsDir = RESULTS,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    yes: Yes = False,
    several_commits: SeveralCommits = False,
    several_machines: SeveralMachines = False,
    fresh: Fresh = False,
    keep: Keep = False,
    list_: Annotated[bool, typer.Option("--list", help="say which protocols there are and what is done")] = False,
    render_only: Annotated[
        bool, typer.Option("--render-only", help="write results/published/reproduction.md from the committed records")
    ] = False,
) -> None:
    """Run published protocols as they were specified, publish the records, and compare ours with the published values.

    Only whole protocols are published; with --methods, --scenarios or --seeds the comparison is of your own runs.
    """
    from benchmarks.ledger.compare import load_protocols
    from benchmarks.ledger.render import write_ledger
    from benchmarks.ledger.terminal import lines_of, listing, warn_of_changes

    loaded = load_protocols(protocols or ())
    if list_:
        say(listing(loaded, results_dir))
        return
    problems: list[str] = []
    succeeded = True
    if not render_only:
        whole = methods is None and scenarios is None and seeds is None
        how = How(workers, gpus, data_root, dry_run, verbose, yes, fresh=fresh, keep=keep)
        if whole and not dry_run:
            warn_of_changes(warn)
        for name in loaded:
            # of a whole protocol publishing decides: a cell may diverge, none may fail
            succeeded &= run_suite(Asked(name, methods, scenarios, seeds, None, results_dir), how) or whole
            if whole and not dry_run:
                try:
                    publish_suite(Asked(name, results_dir=results_dir), several_commits, several_machines)
                except SettingsError as error:
                    problems += error.problems
        if dry_run:
            return
    for published in (True,) if render_only else (False, True):
        path, rows = write_ledger(results_dir, published, warn)
        chosen = [row for row in rows if not protocols or row.protocol in protocols]
        for line in lines_of(chosen, path, published):
            say(line)
    for problem in problems:
        warn(problem)
    if problems or not succeeded:
        raise typer.Exit(1)
