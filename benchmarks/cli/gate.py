"""`gate` and `promote`: champion and challenger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli.console import say
from benchmarks.cli.options import (
    RESULTS,
    Challenger,
    Champion,
    Changes,
    DataRoot,
    Gpus,
    ResultsDir,
    Scenarios,
    Seeds,
    Workers,
    names,
)


def gate(
    champion: Champion,
    challenger: Challenger,
    suite: Annotated[
        str | None, typer.Option("--suite", help="the suite of a challenging method; default the champion's")
    ] = None,
    scenarios: Scenarios = None,
    changes: Changes = None,
    results_dir: ResultsDir = RESULTS,
    max_acc_drop: Annotated[float, typer.Option("--max-acc-drop", help="ACC may drop by this much")] = 0.02,
    max_fm: Annotated[
        float | None,
        typer.Option(
            "--max-fm",
            help="fm.max may be at most this; default 0.05, or 0.05 above a champion beyond that; a number given binds",
        ),
    ] = None,
    max_bwt_drop: Annotated[float, typer.Option("--max-bwt-drop", help="BWT may drop by this much")] = 0.03,
    max_flops_growth: Annotated[
        float | None, typer.Option("--max-flops-growth", help="FLOPs may grow by this part; 0.1: at most 10% more")
    ] = None,
    max_seconds_growth: Annotated[
        float | None, typer.Option("--max-seconds-growth", help="time may grow by this part; 0.1: at most 10% more")
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
    from benchmarks.executors.devices import devices_for
    from benchmarks.gate.rules import make_rules
    from benchmarks.gate.run import run_gate

    rules = make_rules(max_acc_drop, max_fm, max_bwt_drop, max_flops_growth, max_seconds_growth, drops, limits, growths)
    outputs = {"--json": json, "--summary": summary, "--junit": junit}
    verdict, text = run_gate(
        champion,
        challenger,
        rules,
        suite,
        results_dir,
        names(scenarios),
        changes,
        outputs,
        inconclusive_ok,
        rerun,
        data_root,
        devices_for(workers, names(gpus)) if rerun else None,
    )
    say(text)
    raise typer.Exit(verdict.exit_code)


def promote(
    champion: Annotated[Path, typer.Option("--champion", help="the file to write; the old one is kept beside it")],
    challenger: Challenger,
    suite: Annotated[str | None, typer.Option("--suite", help="the suite of a challenging method")] = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    results_dir: ResultsDir = RESULTS,
) -> None:
    """Make a challenger the champion, keeping the old one."""
    from benchmarks.request.errors import SettingsError
    from benchmarks.request.selection import parse_seeds

    problems: list[str] = []
    wanted = parse_seeds(seeds, problems) if seeds else None
    if problems:
        raise SettingsError(problems)
    from benchmarks.gate.run import run_promote

    say(run_promote(champion, challenger, suite, results_dir, names(scenarios), wanted, changes))
