"""`python -m benchmarks VERB`: the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from benchmarks.cli.selftest import selftest
from benchmarks.executors.signals import Stopped, stopped_by_signals
from benchmarks.plain_text import SafeConsole, print_what_can_be_printed


class _Group(TyperGroup):
    """Commands that Ctrl-C stops with a line instead of a traceback, or of nothing."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            err.print("stopped")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Group,
    help="Continual-learning benchmarks: run a grid, read an honest table.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = SafeConsole(soft_wrap=True, highlight=False)
err = SafeConsole(stderr=True, soft_wrap=True, highlight=False)

SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="name of a suite (`list suites`), or a YAML file")]
Methods = Annotated[
    str | None,
    typer.Option("--methods", help="only these, comma-separated; patterns allowed, and names that `list methods` has"),
]
Scenarios = Annotated[str | None, typer.Option("--scenarios", help="only these, comma-separated; patterns allowed")]
Seeds = Annotated[str | None, typer.Option("--seeds", help="a number N (0..N-1) or a list 1,2,3")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="dotted.key=value, e.g. training.epochs=1; repeatable")
]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="where the data sets lie; else $DATA_ROOT, else data/")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="processes; default one a core or GPU")]
Gpus = Annotated[str | None, typer.Option("--gpus", help="CUDA devices, e.g. 0,1: one worker each")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would run and about how long it takes, and stop")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="with --dry-run: name every cell too")]
Yes = Annotated[bool, typer.Option("--yes", help="run on CPU also what takes more than 12 hours there")]
SeveralCommits = Annotated[
    bool, typer.Option("--several-commits", help="the records may come from several clean commits; the tables say so")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="run records made by other code than today's again")]
Keep = Annotated[bool, typer.Option("--keep", help="keep them beside new ones; the tables say so")]
ResultsDir = Annotated[Path, typer.Option("--results-dir", help="where records and tables go")]


def _say_version(asked: bool) -> None:
    if asked:
        from benchmarks.cli.catalogue import version_line

        out.print(version_line(), markup=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="say which version this is", callback=_say_version, is_eager=True)
    ] = False,
) -> None: ...


@app.command()
def run(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    workers: Workers = None,
    gpus: Gpus = None,
    data_root: DataRoot = None,
    results_dir: ResultsDir = Path("results"),
    dry_run: DryRun = False,
    verbose: Verbose = False,
    yes: Yes = False,
    shard: Annotated[
        str | None, typer.Option("--shard", help="k/n: only the k-th of n parts of the cells, one a machine")
    ] = None,
    ddp: Annotated[bool, typer.Option("--ddp", help="under torchrun: all its processes share every cell")] = False,
    logs: Annotated[
        bool,
        typer.Option(
            "--keep-logs", help="keep settings, a line an epoch and the method after each task, a folder a cell"
        ),
    ] = False,
    fresh: Fresh = False,
    keep: Keep = False,
) -> None:
    """Run every cell of SUITE that has no record yet, then print its leaderboard."""
    from benchmarks.cli.cost import check_affordable, dry_run_text, price
    from benchmarks.cli.progress import run_with_progress
    from benchmarks.cost.rehearse import rehearse
    from benchmarks.cost.seconds import StepTimer
    from benchmarks.records.matching import counts, statuses
    from benchmarks.records.provenance import to_run
    from benchmarks.records.suite_files import remember
    from benchmarks.report import write_report
    from benchmarks.report.overview import own_file, tables_folder, write_index
    from benchmarks.request.grid import parse_shard

    if ddp:
        from benchmarks.executors.torchrun import devices_of_ranks, is_first

        devices = devices_of_ranks(workers, gpus)
        out.quiet = err.quiet = not is_first()
        grid, store = _grid(suite, methods, scenarios, seeds, changes, results_dir)
    else:
        devices, (grid, store), _ = _together(
            lambda: _devices(workers, gpus),
            lambda: _grid(suite, methods, scenarios, seeds, changes, results_dir),
            lambda: parse_shard(shard) if shard is not None else None,
        )
    scan = _scan(store)
    own = grid.shard(shard) if shard is not None else grid
    missing = to_run(own, scan, fresh, keep)
    _say_other_code(own, scan)
    out.print(
        f"suite {grid.suite.name}: {len(own.cells)} cells, {len(own.cells) - len(missing)} done, {len(missing)} to run"
        + (f", part {shard} of {len(grid.cells)} cells" if shard else "")
        + (f", {len(grid.impossible)} pairs not applicable" if grid.impossible else "")
    )
    if dry_run:
        for cell, state in statuses(own, scan) if verbose else ():
            out.print(f"  {state:<8} {cell.label}", markup=False)
        if missing:
            rehearse(missing, _path(data_root), with_data=False)
            priced = price(missing, StepTimer(devices[0], data_root=_path(data_root)), _on_terminal)
            out.print(dry_run_text(priced, devices, counts(own, scan), logs), markup=False)
        return
    waiting = {cell.identity for cell in missing}
    store.sweep(finished=[cell for cell in own.cells if cell.identity not in waiting])
    failed = 0
    if missing:
        if not yes:
            check_affordable(missing, devices, _path(data_root), _on_terminal)
        store.check_writable(len(missing))
        remember(suite, store.folder)
        rehearse(missing, _path(data_root))
        if ddp:
            from benchmarks.executors.torchrun import run_together

            if not run_together(missing, store, _path(data_root), lambda line: out.print(line, markup=False), logs):
                return  # one of the other ranks
        else:
            failed = run_with_progress(out, missing, store.folder, _path(data_root), devices, logs)
        scan = _scan(store)
    else:
        remember(suite, store.folder)
    report = write_report(grid, scan, tables_folder(results_dir, grid.suite))
    out.print(report.text, markup=False)
    if missing and logs:
        out.print(f"logs:        {store.folder / 'logs'}", markup=False)
    out.print(f"leaderboard: {report.markdown}", markup=False)
    index = write_index(results_dir, more=own_file(suite, grid, scan, changes), say=_name_others(scan))
    out.print(f"all suites:  {index}", markup=False)
    unsuccessful = [cell for cell, status in statuses(own, scan) if status in ("failed", "diverged")]
    if failed or unsuccessful:
        err.print(f"{len(unsuccessful)} cells failed; `status {suite}` says which and why", markup=False)
        raise typer.Exit(1)


@app.command()
def cost(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    changes: Changes = None,
    gpus: Annotated[str | None, typer.Option("--gpus", help="measure steps on this CUDA device, e.g. 0")] = None,
    data_root: DataRoot = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="steps measured for each phase of two tasks")] = 3,
    format_: Annotated[str, typer.Option("--format", help="table, or csv with a row a task")] = "table",
) -> None:
    """What SUITE costs, without training: parameters, FLOPs, stored bytes, and the hours on this machine."""
    from benchmarks.cli.cost import as_csv, check_format, price, table
    from benchmarks.cost.rehearse import rehearse
    from benchmarks.cost.seconds import StepTimer
    from benchmarks.request.grid import make_grid
    from benchmarks.request.suite import load_suite

    grid, devices, _ = _together(
        lambda: make_grid(load_suite(suite, _list(methods), _list(scenarios), None, changes)),
        lambda: _devices(1, gpus),
        lambda: check_format(format_),
    )
    rehearse(grid.cells, _path(data_root), with_data=False)
    priced = price(grid.cells, StepTimer(devices[0], steps, _path(data_root)), _on_terminal)
    print(as_csv(priced) if format_ == "csv" else table(priced, grid), end="" if format_ == "csv" else "\n")


@app.command()
def status(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    results_dir: ResultsDir = Path("results"),
) -> None:
    """Which cells of SUITE are done, missing or failed."""
    from rich.table import Table

    from benchmarks.records.matching import counts, other_settings, statuses

    grid, store = _grid(suite, methods, scenarios, seeds, changes, results_dir)
    scan = _scan(store)
    standing = statuses(grid, scan)
    kinds = tuple(counts(grid, scan))
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
    out.print(", ".join(f"{n} {kind}" for kind, n in counts(grid, scan).items()))
    for line in other_settings(grid, scan):
        out.print(line, markup=False)
    _say_other_code(grid, scan)
    for cell, state in standing:
        if state in ("failed", "diverged"):
            error = (scan.records[cell.identity].error or "").strip().splitlines()
            out.print(f"{state}: {cell.label}: {error[-1] if error else ''}", markup=False)


@app.command()
def report(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", help="score ids, comma-separated (`list metrics`)")
    ] = None,
    as_tool: Annotated[
        str | None, typer.Option("--as", help="also under the definitions of avalanche, mammoth, pycil, facil, ...")
    ] = None,
    results_dir: ResultsDir = Path("results"),
    published: Annotated[bool, typer.Option("--published", help="read the committed records instead")] = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="draw the plots too")] = True,
    png: Annotated[bool, typer.Option("--png", help="draw them as PNG too, beside the SVG")] = False,
    count_flops: Annotated[
        bool,
        typer.Option("--count-flops", help="in the plot of growth also methods that have not run: minutes, no data"),
    ] = False,
) -> None:
    """Write the leaderboard of SUITE, its comparison of methods and its plots from records; print the leaderboard."""
    from benchmarks.records.matching import matched_by_name
    from benchmarks.records.provenance import keep_derived, traced
    from benchmarks.records.published import PublishedStore
    from benchmarks.report import write_as_tool, write_report
    from benchmarks.report.measures import check_metrics
    from benchmarks.report.overview import own_file, tables_folder, write_index
    from benchmarks.report.peers import check_tool
    from benchmarks.report.plots import write_plots

    (grid, store), *_ = _together(
        lambda: _grid(suite, methods, scenarios, seeds, changes, results_dir),
        lambda: check_metrics(_list(metrics) or []) if metrics is not None else None,
        lambda: check_tool(as_tool) if as_tool is not None else None,
    )
    plain = metrics is None and as_tool is None and not count_flops
    folder = tables_folder(results_dir, grid.suite, published, plain)
    if published:
        committed = results_dir / "published" / grid.suite.name
        records, stored = committed, PublishedStore(committed).scan()
        if folder == committed:
            keep_derived(committed, stored)
        scan = traced(_said(matched_by_name(grid, stored)), committed)
    else:
        records, stored = store.folder, store.scan()
        scan = traced(_said(stored))
    if as_tool is not None:
        path = write_as_tool(grid, scan, folder, as_tool)
        out.print(path.read_text(encoding="utf-8"), markup=False)
        out.print(f"as {as_tool}: {path}", markup=False)
        return
    written = write_report(grid, scan, folder, _list(metrics))
    out.print(written.text, markup=False)
    if not published:
        _say_other_code(grid, scan)
    out.print(f"leaderboard: {written.markdown}", markup=False)
    out.print(f"comparison:  {written.comparison}", markup=False)
    if plots:
        counted = None
        if count_flops:
            from benchmarks.cli.cost import count_growth

            counted = count_growth(grid, scan, None, _on_terminal)
        out.print(f"plots:       {write_plots(grid, scan, folder, counted, png)[-1]}", markup=False)
    if published and folder != committed:
        return  # a reader's view: what is committed stays
    more = None if published else own_file(suite, grid, scan, changes)
    index = write_index(results_dir, published, more, _name_others(scan), {records: stored})
    out.print(f"all suites:  {index}", markup=False)


@app.command()
def publish(
    suite: SuiteName,
    results_dir: ResultsDir = Path("results"),
    several_commits: SeveralCommits = False,
    partial: Annotated[bool, typer.Option("--partial", help="leave cells that have not run for later")] = False,
    verify: Annotated[
        int | None,
        typer.Option(
            "--verify",
            min=1,
            help="of what is published, run so many cells again, compare, and write down what came out",
        ),
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    data_root: DataRoot = None,
) -> None:
    """Copy the checked records of SUITE and their tables into results/published/, to be committed."""
    from benchmarks.ledger.render import write_ledger
    from benchmarks.records.published import PublishedStore
    from benchmarks.report.overview import write_guide, write_index
    from benchmarks.report.publish import publish_suite

    if verify is not None:
        _verify(suite, results_dir, verify, _devices(workers, gpus), _path(data_root))
        return
    grid, store = _grid(suite, None, None, None, None, results_dir)
    folder = publish_suite(grid, _scan(store), results_dir / "published", several_commits, partial)
    write_index(results_dir, published=True)
    write_guide(results_dir, published=True)
    count = len(PublishedStore(folder).scan().records)
    out.print(f"published {count} records of {grid.suite.name}: {folder}", markup=False)
    if grid.suite.kind == "protocol":
        out.print(f"ledger: {write_ledger(results_dir, published=True)[0]}", markup=False)


@app.command()
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
    results_dir: ResultsDir = Path("results"),
    dry_run: DryRun = False,
    verbose: Verbose = False,
    yes: Yes = False,
    several_commits: SeveralCommits = False,
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
    from benchmarks.cli.ledger import lines_of, listing, warn_of_changes
    from benchmarks.ledger.compare import load_protocols
    from benchmarks.ledger.render import write_ledger
    from benchmarks.request.suite import SettingsError

    loaded = load_protocols(protocols or ())
    if list_:
        out.print(listing(loaded, results_dir), markup=False)
        return
    problems: list[str] = []
    unsuccessful = False
    if not render_only:
        whole = methods is None and scenarios is None and seeds is None
        if whole and not dry_run:
            warn_of_changes(lambda text: err.print(text, markup=False))
        for name in loaded:
            try:
                run(
                    name,
                    methods=methods,
                    scenarios=scenarios,
                    seeds=seeds,
                    changes=None,
                    workers=workers,
                    gpus=gpus,
                    data_root=data_root,
                    results_dir=results_dir,
                    dry_run=dry_run,
                    verbose=verbose,
                    yes=yes,
                    fresh=fresh,
                    keep=keep,
                )
            except typer.Exit:
                unsuccessful = not whole  # of a whole protocol `publish` decides: a cell may diverge, none may fail
            if whole and not dry_run:
                try:
                    publish(name, results_dir, several_commits)
                except SettingsError as error:
                    problems += error.problems
        if dry_run:
            return
    for published in (True,) if render_only else (False, True):
        path, rows = write_ledger(results_dir, published, _name)
        chosen = [row for row in rows if not protocols or row.protocol in protocols]
        for line in lines_of(chosen, path, published):
            out.print(line, markup=False)
    for problem in problems:
        err.print(problem, markup=False)
    if problems or unsuccessful:
        raise typer.Exit(1)


@app.command()
def guide(
    results_dir: ResultsDir = Path("results"),
    published: Annotated[bool, typer.Option("--published", help="from the committed records instead")] = False,
) -> None:
    """Write which method does best for what, read off the records of all suites."""
    from benchmarks.report.overview import write_guide

    path = write_guide(results_dir, published, _name)
    out.print(path.read_text(encoding="utf-8"), markup=False)
    out.print(f"guide: {path}", markup=False)


@app.command()
def gate(
    champion: Annotated[Path, typer.Option("--champion", help="its file, e.g. results/champions/er.json")],
    challenger: Annotated[str, typer.Option("--challenger", help="a method, a folder of records, or a champion file")],
    suite: Annotated[str | None, typer.Option("--suite", help="of a challenging method; else the champion's")] = None,
    scenarios: Scenarios = None,
    changes: Changes = None,
    results_dir: ResultsDir = Path("results"),
    max_acc_drop: Annotated[float, typer.Option("--max-acc-drop", help="ACC may drop by this much")] = 0.02,
    max_fm: Annotated[
        float | None,
        typer.Option(
            "--max-fm",
            help="fm.max may be at most this; default 0.05, or 0.05 above a champion beyond that; a number given binds",
        ),
    ] = None,
    max_bwt_drop: Annotated[float, typer.Option("--max-bwt-drop", help="BWT may drop by this much")] = 0.03,
    max_flops_growth: Annotated[float | None, typer.Option("--max-flops-growth", help="0.1: at most 10% more")] = None,
    max_seconds_growth: Annotated[
        float | None, typer.Option("--max-seconds-growth", help="0.1: at most 10% more")
    ] = None,
    drops: Annotated[list[str] | None, typer.Option("--max-drop", help="ID=MARGIN for any score; repeatable")] = None,
    limits: Annotated[list[str] | None, typer.Option("--limit", help="ID=VALUE for any score; repeatable")] = None,
    growths: Annotated[
        list[str] | None, typer.Option("--max-growth", help="ID=MARGIN for any cost; repeatable")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="write the verdict here")] = None,
    summary: Annotated[Path | None, typer.Option("--summary", help="append it here as markdown")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="write it here as JUnit XML")] = None,
    inconclusive_ok: Annotated[
        bool, typer.Option("--inconclusive-ok", help="exit 0, not 3, where more seeds are needed to say")
    ] = False,
    rerun: Annotated[
        int, typer.Option("--rerun", min=0, help="run this many of the challenger's cells here and compare")
    ] = 0,
    workers: Workers = None,
    gpus: Gpus = None,
    data_root: DataRoot = None,
) -> None:
    """Judge a challenger against its champion: exit 0 pass, 1 fail, 2 refused or wrongly asked, 3 inconclusive."""
    from benchmarks.cli.gate import run_gate
    from benchmarks.gate.rules import make_rules

    rules = make_rules(max_acc_drop, max_fm, max_bwt_drop, max_flops_growth, max_seconds_growth, drops, limits, growths)
    outputs = {"--json": json, "--summary": summary, "--junit": junit}
    verdict, text = run_gate(
        champion,
        challenger,
        rules,
        suite,
        results_dir,
        _list(scenarios),
        changes,
        outputs,
        inconclusive_ok,
        rerun,
        _path(data_root),
        _devices(workers, gpus) if rerun else None,
    )
    out.print(text, markup=False)
    raise typer.Exit(verdict.exit_code)


@app.command()
def promote(
    champion: Annotated[Path, typer.Option("--champion", help="the file to write; the old one is kept beside it")],
    challenger: Annotated[str, typer.Option("--challenger", help="a method, a folder of records, or a champion file")],
    suite: Annotated[str | None, typer.Option("--suite", help="of a challenging method")] = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    results_dir: ResultsDir = Path("results"),
) -> None:
    """Make a challenger the champion, keeping the old one."""
    from benchmarks.cli.gate import run_promote
    from benchmarks.request.suite import SettingsError, parse_seeds

    problems: list[str] = []
    wanted = parse_seeds(seeds, problems) if seeds else None
    if problems:
        raise SettingsError(problems)
    out.print(run_promote(champion, challenger, suite, results_dir, _list(scenarios), wanted, changes), markup=False)


@app.command()
def check(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Python files with methods")]) -> None:
    """Prove that the methods in FILE, from anywhere, keep the contract; print what was proved. Exit 1 where one does not."""
    from benchmarks.contract.check import check_files

    text, kept = check_files(files)
    out.print(text, markup=False)
    raise typer.Exit(0 if kept else 1)


@app.command()
def data(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="data sets, e.g. imagenet100 or folder:NAME")],
    decode: Annotated[bool, typer.Option("--decode", help="decode every image file and name the corrupt ones")] = False,
    data_root: DataRoot = None,
) -> None:
    """Check that data sets are there and whole: counts, classes, checksum. Exit 1 where one is not."""
    from benchmarks.cli.data import check_data

    whole = True
    for good, line in check_data(names, _path(data_root), decode):
        (out if good else err).print(line, markup=False)
        whole &= good
    raise typer.Exit(0 if whole else 1)


app.command()(selftest)


@app.command("list")
def list_(
    what: Annotated[
        str | None, typer.Argument(metavar="[methods|scenarios|metrics|suites]", help="what to list")
    ] = None,
) -> None:
    """What there is: methods, scenarios, metrics or suites; with none of these words, what each lists."""
    from benchmarks.cli.catalogue import CATALOGUES, contents
    from benchmarks.request.suite_yaml import SettingsError

    if what is not None and what not in CATALOGUES:
        from scenarios.nearest import nearest  # with torch, which the names do without

        raise SettingsError([f"cannot list {what!r}{nearest(what, CATALOGUES)}"])
    for line in contents() if what is None else CATALOGUES[what]():
        out.print(line, markup=False)


def _grid(suite, methods, scenarios, seeds, changes, results_dir: Path):
    from benchmarks.records.store import Store
    from benchmarks.records.suite_files import check_own
    from benchmarks.request.grid import make_grid
    from benchmarks.request.suite import load_suite

    chosen = load_suite(suite, _list(methods), _list(scenarios), seeds, changes)
    runs = results_dir / "runs" / chosen.name
    check_own(suite, chosen.name, runs)
    return make_grid(chosen), Store(runs)


def _together(*parts: Callable[[], Any]) -> list[Any]:
    """What each of `parts` gives. Raises SettingsError with everything that is wrong with any of them."""
    from benchmarks.request.suite_yaml import SettingsError

    given: list[Any] = []
    problems: list[str] = []
    for part in parts:
        try:
            given.append(part())
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return given


def _scan(store):
    from benchmarks.records.provenance import traced

    return traced(_said(store.scan()))


def _said(scan):
    """`scan`, when the records in it that are not believed have been named."""
    for problem in scan.problems:
        _name(problem)
    return scan


def _say_other_code(grid, scan) -> None:
    from benchmarks.records.provenance import made, other_code_text, unknown_text

    by = made(grid, scan)
    for text in (other_code_text(by), unknown_text(by)):
        if text:
            err.print(f"note: {text}; `run --fresh` runs these cells again", markup=False)


def _verify(suite: str, results_dir: Path, n: int, devices: list[str], data_root: str | None) -> None:
    """Exit 1 where some cell did not come out equal."""
    from benchmarks.cli.progress import run_with_progress
    from benchmarks.records.matching import matched_by_name
    from benchmarks.records.provenance import traced
    from benchmarks.records.published import PublishedStore
    from benchmarks.records.verified import FILE
    from benchmarks.report import write_report
    from benchmarks.report.overview import write_index
    from benchmarks.report.verify import text_of, verify_suite

    grid, _ = _grid(suite, None, None, None, None, results_dir)
    published = results_dir / "published"
    found = verify_suite(grid, published, n, lambda cells, to: run_with_progress(out, cells, to, data_root, devices))
    folder = published / grid.suite.name
    scan = traced(_said(matched_by_name(grid, PublishedStore(folder).scan())), folder)
    for line in text_of(found, scan):
        out.print(line, markup=False)
    out.print(f"verified: {folder / FILE}", markup=False)
    out.print(f"leaderboard: {write_report(grid, scan, folder).markdown}", markup=False)
    write_index(results_dir, published=True, say=_name_others(scan))
    if not all(cell.equal for cell in found.cells):
        raise typer.Exit(1)


def _name(problem: str) -> None:
    err.print(problem, markup=False)


def _name_others(scan):
    """Names a record that is not believed, unless it was when `scan` was made."""
    return lambda problem: None if problem in scan.problems else _name(problem)


def _on_terminal(text: str) -> None:
    """Progress, for who watches; never among what a program reads."""
    if err.is_terminal:
        err.print(text, markup=False)


def _list(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text is not None else None


def _path(path: Path | None) -> str | None:
    return str(path) if path else None


def _devices(workers: int | None, gpus: str | None) -> list[str]:
    """One entry a worker: the GPUs named, else as many CPU processes as there are cores."""
    from benchmarks.request.suite import SettingsError

    named = _list(gpus)
    if named is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return ["cpu"] * (workers or cores)
    import torch

    count = torch.cuda.device_count()
    bad = [g for g in named if not g.isdecimal() or int(g) >= count]
    if not named:
        raise SettingsError(["--gpus names none: give their numbers, e.g. 0,1, or leave it out to run on processors"])
    if bad:
        raise SettingsError([f"--gpus {gpus}: no CUDA device {', '.join(bad)}; this machine has {count}"])
    return [f"cuda:{g}" for g in named for _ in range(max(1, (workers or len(named)) // len(named)))]


def main() -> None:
    """Runs the command line; what is wrong with a request is said in full and exits with 2."""
    with stopped_by_signals():
        try:
            _main()
        except Stopped as stop:
            err.print(f"stopped by {stop.name}")
            raise


def _main() -> None:
    from benchmarks.request.suite_yaml import SettingsError

    print_what_can_be_printed()
    try:
        app()
    except KeyboardInterrupt:  # before or after the command itself
        err.print("stopped")
        raise SystemExit(130) from None
    except SettingsError as error:
        for problem in error.problems:
            err.print(f"error: {problem}", markup=False)
        raise SystemExit(2) from None
    except Exception as error:
        from benchmarks.executors.local import StorageFailed  # with torch, which names and help do without
        from scenarios import DataNotFound

        if isinstance(error, OSError) and error.filename is not None:
            err.print(f"error: {error.filename}: {error.strerror}", markup=False)
        elif isinstance(error, (DataNotFound, StorageFailed)):
            err.print(f"error: {error}", markup=False)
        else:
            raise
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
