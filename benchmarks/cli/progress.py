"""A grid's run as seen from the terminal."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from benchmarks.executors.contract import Executor, Outcome
from benchmarks.executors.signals import Stopped
from benchmarks.plain_text import one_line
from benchmarks.records.cell_progress import clock
from benchmarks.records.claims import Claim, live_claims
from benchmarks.request.suite import CellSettings
from benchmarks.request.validation import has_validation

LOOK = 1.0
"""Seconds between two looks at how far cells have come."""
MOST_LINES = 8
"""Of cells that run; of more than these only the number is shown."""


def run_with_progress(
    console: Console, cells: list[CellSettings], execute: Executor, workers: int, folder: Path
) -> list[Outcome]:
    """Runs `cells`, a line each as they finish and a bar with the time left. Gives the outcomes without success.

    workers: how many run at a time, for the time left. folder: of the records; the claims beside them tell how far each
    cell has come, wherever it runs. What cells print is not shown.
    """
    failed, seconds = list[Outcome](), Remaining(cells, workers)
    with _Bar(console, cells, folder) as bar:
        task = bar.add_task("cells", total=len(cells), failed=0, left="?")
        outcomes = execute(cells)
        try:
            for n, outcome in enumerate(outcomes, 1):
                if outcome.status != "done":
                    failed.append(outcome)
                seconds.finished(outcome)
                left = clock(seconds.left())
                bar.update(task, advance=1, failed=len(failed), left=left)
                bar.console.print(_line(n, len(cells), outcome, left), markup=False)
                for warning in outcome.warnings:
                    bar.warn(warning)
        except Stopped:
            outcomes.close()
            console.print("finished cells are kept, the same command continues with the rest")
            raise
    return failed


class _Bar(Progress):
    """The bar, on a terminal with a line below it for each cell that runs, as its claim in `folder` has it."""

    def __init__(self, console: Console, cells: list[CellSettings], folder: Path):
        self._cells = {cell.identity: cell for cell in cells}
        self._folder = folder
        self._looked, self._running = float("-inf"), list[Text]()
        self._warned: set[str] = set()
        text = TextColumn("failed {task.fields[failed]}  left {task.fields[left]}")
        columns = (BarColumn(), MofNCompleteColumn(), text)
        shown = console.is_terminal
        super().__init__(*columns, console=console, disable=not shown, transient=True, refresh_per_second=2)

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        if time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            self._running = list(self._lines(live_claims(self._folder)))
        yield from self._running[:MOST_LINES]
        if len(self._running) > MOST_LINES:
            yield Text(f"and {len(self._running) - MOST_LINES} more")

    def warn(self, text: str) -> None:
        """Says `text`, once."""
        if text not in self._warned:
            self._warned.add(text)
            self.console.print(f"note: {text}", markup=False)

    def _lines(self, claims: dict[str, Claim]) -> Iterator[Text]:
        for identity, cell in self._cells.items():
            if (claim := claims.get(identity)) and claim.progress:
                text = one_line(f"{cell.label}: {claim.progress.text}")
                yield Text(text, no_wrap=True, overflow="ellipsis")


def _line(n: int, total: int, outcome: Outcome, left: str) -> str:
    head = f"[{n:{len(str(total))}}/{total}] {outcome.status:<8} {outcome.cell.label}"
    if outcome.where:
        head += f" ({outcome.where})"
    if outcome.status == "done":
        of = " on validation images" if has_validation(outcome.cell.resolved.document["scenario"]) else ""
        return f"{head}  ACC {outcome.accuracy:.4f}{of}  {outcome.seconds:.1f} s  (left {left})"
    return f"{head}  {outcome.error}"


class Remaining:
    """The time left, from what finished cells of the same scenario and method took."""

    def __init__(self, cells: list[CellSettings], workers: int):
        self.waiting = {cell.identity: cell for cell in cells}
        self.workers = workers
        self.times: dict[tuple[str, str], list[float]] = defaultdict(list)

    def finished(self, outcome: Outcome) -> None:
        self.waiting.pop(outcome.cell.identity, None)
        self.times[outcome.cell.scenario_name, outcome.cell.method_name].append(outcome.seconds)

    def left(self) -> float:
        """Seconds; cells of a kind not seen yet count as the mean of those seen."""
        mean = {pair: sum(t) / len(t) for pair, t in self.times.items()}
        overall = sum(mean.values()) / len(mean) if mean else 0.0
        total = sum(mean.get((c.scenario_name, c.method_name), overall) for c in self.waiting.values())
        return total / self.workers
