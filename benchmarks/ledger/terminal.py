"""What `reproduce` says on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from benchmarks.ledger.compare import Row
from benchmarks.ledger.published import Reference
from benchmarks.ledger.render import summary
from benchmarks.records.matching import statuses
from benchmarks.records.store import Store
from benchmarks.request.grid import Grid


def listing(loaded: Mapping[str, tuple[Grid, Reference | None]], results: Path) -> str:
    """Each protocol: its cells, how many of them are done here, and how many values were published for it."""
    lines = []
    for name, (grid, reference) in loaded.items():
        states = [status for _, status in statuses(grid, Store(results / "runs" / name).scan())]
        values = len(reference.rows) if reference else 0
        lines.append([name, len(states), states.count("done"), values or "none", grid.suite.title])
    if not lines:
        return "no suite of kind protocol"
    return tabulate(lines, ["protocol", "cells", "done", "published values", "title"], disable_numparse=True)


def lines_of(rows: Sequence[Row], path: Path, published: bool) -> list[str]:
    """The sum of a ledger in a few lines: counts, what differs, where the page is."""
    of = "committed records" if published else "your own runs"
    lines = [f"{of}: {summary(rows)}"]
    for row in rows:
        if row.verdict == "differs":
            size = f"{row.difference.mean:+.2f} ± {row.difference.half_width:.2f}" if row.difference else row.why
            lines.append(f"  differs: {row.published.id}: {size}")
    return [*lines, f"ledger: {path}"]


def warn_of_changes(say: Callable[[str], object]) -> None:
    """Says before hours of running, not after, that the records could not be published."""
    from benchmarks.cell.environment import commit

    state = commit()
    if state is None or state.endswith("+dirty"):
        where = "outside a git checkout" if state is None else "with uncommitted changes"
        say(f"note: running {where}: the records will not be published; commit first to have them published")
