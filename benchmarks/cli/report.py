"""`report` and `guide`: views of the records there are."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.cli.asked import Asked, named, say_other_code, unless_named
from benchmarks.cli.console import say, say_on_terminal, warn
from benchmarks.cli.options import (
    RESULTS,
    Changes,
    Methods,
    Published,
    ResultsDir,
    Scenarios,
    Seeds,
    SuiteName,
    names,
)
from benchmarks.request.errors import together


def report(
    suite: SuiteName,
    methods: Methods = None,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", help="show these instead of the usual columns: ids from `list metrics`, comma-separated"
        ),
    ] = None,
    as_tool: Annotated[
        str | None,
        typer.Option("--as", help="recompute the scores as avalanche, mammoth, pycil, facil, ... defines them"),
    ] = None,
    results_dir: ResultsDir = RESULTS,
    published: Published = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="draw the plots too")] = True,
    png: Annotated[bool, typer.Option("--png", help="draw them as PNG too, beside the SVG")] = False,
    count_flops: Annotated[
        bool,
        typer.Option(
            "--count-flops",
            help="in the plot of growing networks also methods that have not run; takes minutes and no data",
        ),
    ] = False,
) -> None:
    """Write the leaderboard of SUITE, its comparison of methods and its plots from records; print the leaderboard."""
    asked = Asked(suite, methods, scenarios, seeds, changes, results_dir)
    (grid, store), *_ = together(
        asked.grid_and_store, lambda: _check_metrics(names(metrics)), lambda: _check_tool(as_tool)
    )
    from benchmarks.records.matching import matched_by_name
    from benchmarks.records.provenance import keep_derived, traced
    from benchmarks.records.published import PublishedStore
    from benchmarks.records.recorded import own_file, tables_folder
    from benchmarks.records.scored import with_scored
    from benchmarks.report.overview import write_index
    from benchmarks.report.plots import write_plots
    from benchmarks.report.write import write_as_tool, write_report

    plain = metrics is None and as_tool is None and not count_flops
    folder = tables_folder(results_dir, grid.suite, published, plain)
    if published:
        committed = results_dir / "published" / grid.suite.name
        records, stored = committed, PublishedStore(committed).scan()
        if folder == committed:
            keep_derived(committed, stored)
        grid = with_scored(grid, stored, by_name=True)
        scan = traced(named(matched_by_name(grid, stored)), committed)
    else:
        records, stored = store.folder, store.scan()
        grid, scan = with_scored(grid, stored), traced(named(stored))
    if as_tool is not None:
        path = write_as_tool(grid, scan, folder, as_tool)
        say(path.read_text(encoding="utf-8"))
        say(f"as {as_tool}: {path}")
        return
    written = write_report(grid, scan, folder, names(metrics))
    say(written.text)
    if not published:
        say_other_code(grid, scan)
    say(f"leaderboard: {written.markdown}")
    say(f"comparison:  {written.comparison}")
    if plots:
        counted = None
        if count_flops:
            from benchmarks.cost.price import count_growth

            counted = count_growth(grid, scan, None, say_on_terminal)
        say(f"plots:       {write_plots(grid, scan, folder, counted, png)[-1]}")
    if published and folder != committed:
        return  # a reader's view: what is committed stays
    more = None if published else own_file(results_dir, suite, grid, scan, changes)
    say(f"all suites:  {write_index(results_dir, published, more, unless_named(scan), {records: stored})}")


def _check_metrics(metrics: list[str] | None) -> None:
    if metrics is not None:
        from benchmarks.records.columns import check_metrics

        check_metrics(metrics)


def _check_tool(tool: str | None) -> None:
    if tool is not None:
        from benchmarks.report.peers import check_tool

        check_tool(tool)


def guide(results_dir: ResultsDir = RESULTS, published: Published = False) -> None:
    """Write which method does best for what, read off the records of all suites."""
    from benchmarks.report.overview import write_guide

    path = write_guide(results_dir, published, warn)
    say(path.read_text(encoding="utf-8"))
    say(f"guide: {path}")
