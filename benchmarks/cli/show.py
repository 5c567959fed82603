"""`show`: one record in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.cli.console import out, say
from benchmarks.cli.options import RESULTS, Published, ResultsDir
from benchmarks.records.find import find


def show(
    cell: Annotated[
        list[str],
        typer.Argument(
            metavar="CELL",
            help="as `status` names it (split-digits/class er seed 0), or enough of that; the first digits of its "
            "identity; or its file",
        ),
    ],
    suite: Annotated[str | None, typer.Option("--suite", help="only of this suite")] = None,
    results_dir: ResultsDir = RESULTS,
    published: Published = False,
) -> None:
    """Show one record: its accuracy matrix, curves, scores, costs, settings, and what it was made with."""
    place = find(cell, results_dir, suite, published)
    record = place.read()
    from benchmarks.cli.record_text import text_of

    where = str(place.file) if place.line is None else f"{place.file}, line {place.line}"
    say(text_of(record, where, out.width, not out.encoding.lower().startswith("utf")))
