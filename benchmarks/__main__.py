"""`python -m benchmarks VERB`: the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Continual-learning benchmarks: run a grid, read an honest table.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="name of a suite (`list suites`), or a YAML file")]
Methods = Annotated[str | None, typer.Option("--methods", help="only these, comma-separated; patterns allowed")]
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
Yes = Annotated[bool, typer.Option("--yes", help="run on CPU also what takes more than 12 hours there")]
SeveralCommits = Annotated[
    bool, typer.Option("--several-commits", help="the records may come from several clean commits; the tables say so")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="run records made by other code than today's again")]
Keep = Annotated[bool, typer.Option("--keep", help="keep them beside new ones; the tables say so")]
ResultsDir = Annotated[Path, typer.Option("--results-dir", help="where records and tables go")]


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
    from benchmarks.cost.command import check_affordable, dry_run_text, price
    from benchmarks.cost.seconds import StepTimer
    from benchmarks.grid import rehearse
    from benchmarks.progress import run_with_progress
    from benchmarks.provenance import to_run
    from benchmarks.report import write_report
    from benchmarks.report.overview import own_file, write_index

    if ddp:
        from benchmarks.distributed import devices_of_ranks, is_first

        devices = devices_of_ranks(workers, gpus)
        out.quiet = err.quiet = not is_first()
    else:
        devices = _devices(workers, gpus)
    grid, store = _grid(suite, methods, scenarios, seeds, changes, results_dir)
    scan = _scan(store)
    own = grid.shard(shard) if shard else grid
    missing = to_run(own, scan, fresh, keep)
    _say_other_code(own, scan)
    out.print(
        f"suite {grid.suite.name}: {len(own.cells)} cells, {len(own.cells) - len(missing)} done, {len(missing)} to run"
        + (f", part {shard} of {len(grid.cells)} cells" if shard else "")
        + (f", {len(grid.impossible)} pairs not applicable" if grid.impossible else "")
    )
    if dry_run:
        for cell in missing:
            out.print(f"  {cell.label}")
        if missing:
            priced = price(missing, StepTimer(devices[0], data_root=_path(data_root)), _on_terminal)
            out.print(dry_run_text(priced, devices), markup=False)
        return
    failed = 0
    if missing:
        if not yes:
            check_affordable(missing, devices, _path(data_root), _on_terminal)
        store.check_writable(len(missing))
        rehearse(missing, str(data_root) if data_root else None)
        if ddp:
            from benchmarks.distributed import run_together

            if not run_together(missing, store, _path(data_root), lambda line: out.print(line, markup=False), logs):
                return  # one of the other ranks
        else:
            failed = run_with_progress(out, missing, store.folder, _path(data_root), devices, logs)
        scan = _scan(store)
    report = write_report(grid, scan, results_dir / "leaderboards")
    out.print(report.text, markup=False)
    if missing and logs:
        out.print(f"logs:        {store.folder / 'logs'}", markup=False)
    out.print(f"leaderboard: {report.markdown}", markup=False)
    out.print(f"all suites:  {write_index(results_dir, more=own_file(suite, grid, scan, changes))}", markup=False)
    unsuccessful = [cell for cell, status in own.statuses(scan) if status in ("failed", "diverged")]
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
    from benchmarks.config import SettingsError, load_suite, nearest
    from benchmarks.cost.command import as_csv, price, table
    from benchmarks.cost.seconds import StepTimer
    from benchmarks.grid import make_grid

    formats = ["table", "csv"]
    if format_ not in formats:
        raise SettingsError([f"--format {format_}{nearest(format_, formats)}; one of {', '.join(formats)}"])
    grid = make_grid(load_suite(suite, _list(methods), _list(scenarios), None, changes))
    priced = price(grid.cells, StepTimer(_devices(1, gpus)[0], steps, _path(data_root)), _on_terminal)
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

    grid, store = _grid(suite, methods, scenarios, seeds, changes, results_dir)
    scan = _scan(store)
    statuses = grid.statuses(scan)
    kinds = ("done", "missing", "failed", "diverged")
    table = Table(title=None, box=None, pad_edge=False)
    for name in ("scenario", "method", *kinds):
        table.add_column(name, justify="left" if name in ("scenario", "method") else "right")
    for scenario in grid.suite.scenarios:
        for method in grid.suite.methods:
            here = [s for c, s in statuses if (c.scenario_name, c.method_name) == (scenario, method)]
            counts = [str(here.count(k) or "") for k in kinds]
            if (scenario, method) in grid.impossible:
                counts[0] = "n/a"
            table.add_row(scenario, method, *counts)
    out.print(table)
    out.print(", ".join(f"{sum(s == k for _, s in statuses)} {k}" for k in kinds))
    _say_other_code(grid, scan)
    for cell, state in statuses:
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
    count_flops: Annotated[
        bool,
        typer.Option("--count-flops", help="in the plot of growth also methods that have not run: minutes, no data"),
    ] = False,
) -> None:
    """Write the leaderboard of SUITE, its comparison of methods and its plots from records; print the leaderboard."""
    from benchmarks.grid import matched_by_name
    from benchmarks.provenance import keep_derived, traced
    from benchmarks.report import write_as_tool, write_report
    from benchmarks.report.overview import own_file, write_index
    from benchmarks.report.plots import write_plots
    from benchmarks.store import Store

    grid, store = _grid(suite, methods, scenarios, seeds, changes, results_dir)
    if published:
        folder = results_dir / "published" / grid.suite.name
        keep_derived(folder)
        scan = traced(matched_by_name(grid, _scan(Store(folder / "records"))), folder)
    else:
        folder, scan = results_dir / "leaderboards", _scan(store)
    if as_tool is not None:
        path = write_as_tool(grid, scan, folder, as_tool)
        out.print(path.read_text(), markup=False)
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
            from benchmarks.cost.command import count_growth

            counted = count_growth(grid, scan, None, _on_terminal)
        out.print(f"plots:       {write_plots(grid, scan, folder, counted)[-1]}", markup=False)
    index = write_index(results_dir, published, None if published else own_file(suite, grid, scan, changes))
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
    from benchmarks.publish import publish_suite
    from benchmarks.report.overview import write_guide, write_index

    if verify is not None:
        _verify(suite, results_dir, verify, _devices(workers, gpus), _path(data_root))
        return
    grid, store = _grid(suite, None, None, None, None, results_dir)
    folder = publish_suite(grid, _scan(store), results_dir / "published", several_commits, partial)
    write_index(results_dir, published=True)
    write_guide(results_dir, published=True)
    count = len(list((folder / "records").glob("*.json")))
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
    from benchmarks.config import SettingsError
    from benchmarks.ledger.command import lines_of, listing, warn_of_changes
    from benchmarks.ledger.compare import load_protocols
    from benchmarks.ledger.render import write_ledger

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
                    yes=yes,
                    fresh=fresh,
                    keep=keep,
                )
            except typer.Exit as stop:
                if stop.exit_code != 1:  # by Ctrl-C
                    raise
                unsuccessful = not whole  # of a whole protocol `publish` decides: a cell may diverge, none may fail
            if whole and not dry_run:
                try:
                    publish(name, results_dir, several_commits)
                except SettingsError as error:
                    problems += error.problems
        if dry_run:
            return
    for published in (True,) if render_only else (False, True):
        path, rows = write_ledger(results_dir, published)
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

    path = write_guide(results_dir, published)
    out.print(path.read_text(), markup=False)
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
) -> None:
    """Judge a challenger against its champion: exit 0 pass, 1 fail, 2 inconclusive or not comparable."""
    from benchmarks.gate.command import run_gate
    from benchmarks.gate.rules import make_rules

    rules = make_rules(max_acc_drop, max_fm, max_bwt_drop, max_flops_growth, max_seconds_growth, drops, limits, growths)
    outputs = {"--json": json, "--summary": summary, "--junit": junit}
    verdict, text = run_gate(champion, challenger, rules, suite, results_dir, _list(scenarios), changes, outputs)
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
    from benchmarks.config import SettingsError, parse_seeds
    from benchmarks.gate.command import run_promote

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
    from benchmarks.data_command import check_data

    whole = True
    for good, line in check_data(names, _path(data_root), decode):
        (out if good else err).print(line, markup=False)
        whole &= good
    raise typer.Exit(0 if whole else 1)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(metavar="methods|scenarios|metrics|suites", help="what to list")],
) -> None:
    """What there is: methods, scenarios, metrics or suites."""
    from benchmarks.catalogue import CATALOGUES
    from benchmarks.config import SettingsError, nearest

    if what not in CATALOGUES:
        raise SettingsError([f"cannot list {what!r}{nearest(what, list(CATALOGUES))}"])
    for line in CATALOGUES[what]():
        out.print(line, markup=False)


def _grid(suite, methods, scenarios, seeds, changes, results_dir: Path):
    from benchmarks.config import load_suite
    from benchmarks.grid import make_grid
    from benchmarks.store import Store

    chosen = load_suite(suite, _list(methods), _list(scenarios), seeds, changes)
    return make_grid(chosen), Store(results_dir / "runs" / chosen.name)


def _scan(store):
    from benchmarks.provenance import traced

    scan = store.scan()
    for problem in scan.problems:
        err.print(problem, markup=False)
    return traced(scan)


def _say_other_code(grid, scan) -> None:
    from benchmarks.provenance import made, other_code_text, unknown_text

    by = made(grid, scan)
    for text in (other_code_text(by), unknown_text(by)):
        if text:
            err.print(f"note: {text}; `run --fresh` runs these cells again", markup=False)


def _verify(suite: str, results_dir: Path, n: int, devices: list[str], data_root: str | None) -> None:
    """Exit 1 where some cell did not come out equal."""
    from benchmarks.grid import matched_by_name
    from benchmarks.progress import run_with_progress
    from benchmarks.provenance import traced
    from benchmarks.report import write_report
    from benchmarks.report.overview import write_index
    from benchmarks.store import Store
    from benchmarks.verified import FILE
    from benchmarks.verify import text_of, verify_suite

    grid, _ = _grid(suite, None, None, None, None, results_dir)
    published = results_dir / "published"
    found = verify_suite(grid, published, n, lambda cells, to: run_with_progress(out, cells, to, data_root, devices))
    folder = published / grid.suite.name
    scan = traced(matched_by_name(grid, _scan(Store(folder / "records"))), folder)
    for line in text_of(found, scan):
        out.print(line, markup=False)
    out.print(f"verified: {folder / FILE}", markup=False)
    out.print(f"leaderboard: {write_report(grid, scan, folder).markdown}", markup=False)
    write_index(results_dir, published=True)
    if not all(cell.equal for cell in found.cells):
        raise typer.Exit(1)


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
    from benchmarks.config import SettingsError

    named = _list(gpus) or []
    if not named:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return ["cpu"] * (workers or cores)
    import torch

    count = torch.cuda.device_count()
    bad = [g for g in named if not g.isdigit() or int(g) >= count]
    if bad:
        raise SettingsError([f"--gpus {gpus}: no CUDA device {', '.join(bad)}; this machine has {count}"])
    return [f"cuda:{g}" for g in named for _ in range(max(1, (workers or len(named)) // len(named)))]


def main() -> None:
    """Runs the command line; what is wrong with a request is said in full and exits with 2."""
    from benchmarks.config import SettingsError
    from benchmarks.executors.local import StorageFailed
    from scenarios import DataNotFound

    try:
        app()
    except SettingsError as error:
        for problem in error.problems:
            err.print(f"error: {problem}", markup=False)
        raise SystemExit(2) from None
    except (DataNotFound, StorageFailed) as error:
        err.print(f"error: {error}", markup=False)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
