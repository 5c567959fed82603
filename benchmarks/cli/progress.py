"""A grid's run as seen from the terminal."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from benchmarks.executors.contract import Executor, Outcome
from benchmarks.executors.signals import Stopped
from benchmarks.request.suite import CellSettings


def run_with_progress(console: Console, cells: list[CellSettings], execute: Executor, workers: int) -> int:
    """Runs `cells`, a line each as they finish and a bar with the time left. Returns how many did not succeed.

    workers: how many run at a time, for the time left. What cells print is not shown.
    """
    failed, seconds = 0, Remaining(cells, workers)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("failed {task.fields[failed]}  left {task.fields[left]}"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("cells", total=len(cells), failed=0, left="?")
        outcomes = execute(cells)
        try:
            for n, outcome in enumerate(outcomes, 1):
                failed += outcome.status != "done"
                seconds.finished(outcome)
                left = clock(seconds.left())
                bar.update(task, advance=1, failed=failed, left=left)
                bar.console.print(_line(n, len(cells), outcome, left), markup=False)
        except Stopped:
            outcomes.close()
            console.print("finished cells are kept, the same command continues with the rest")
            raise
    return failed


def _line(n: int, total: int, outcome: Outcome, left: str) -> str:
    head = f"[{n:{len(str(total))}}/{total}] {outcome.status:<8} {outcome.cell.label}"
    if outcome.where:
        head += f" ({outcome.where})"
    if outcome.status == "done":
        return f"{head}  ACC {outcome.accuracy:.4f}  {outcome.seconds:.1f} s  (left {left})"
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


def clock(seconds: float) -> str:
    """1:02:03 or 2:03."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
