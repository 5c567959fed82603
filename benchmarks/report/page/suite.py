"""What the page shows of one suite: its tables, plots, records, and what it must know of a method to filter by it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.records.results import Runs, results_of
from benchmarks.records.scored import scored_text
from benchmarks.records.store import Scan
from benchmarks.report.leaderboard import Leaderboard, make_leaderboard
from benchmarks.request import declarations
from benchmarks.request.grid import Grid
from benchmarks.request.selection import seed_selection, selection

FIRST = ("mnist", "cifar100-lite", "cifar100-pretrained", "tinyimagenet100-lite")
"""What a reader wants to see: the suite of the README, then images."""

UNKNOWN = "unknown"


@dataclass(frozen=True)
class PageSuite:
    """board, runs: of the same records, table by table. arguments: what stands after `python -m benchmarks run` for this
    suite: its name, or the path of its YAML file, and every --set that the records were made with. records: links to
    the records by identity. plots: of each scenario title and link, the first to stand beside its table."""

    board: Leaderboard
    runs: tuple[Runs, ...]
    arguments: tuple[str, ...]
    kind: str = "benchmark"
    records: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, grid: Grid, scan: Scan, metrics: list[str] | None = None, folder: str = ".", **more: Any) -> PageSuite:
        """The suite of `grid` with the records in `scan`, which lie in `folder`, a link; `metrics` as in
        make_leaderboard, `more`: arguments, by default the suite's name, and plots."""
        results, links = results_of(grid, scan), {id: f"{folder}/{place}" for id, place in scan.places.items()}
        given = {"arguments": (grid.suite.name,), "kind": grid.suite.kind, "records": links} | more
        return cls(make_leaderboard(results, metrics), results.runs, **given)

    @property
    def rank(self) -> tuple[int, bool, bool, int]:
        """Sorts what a reader wants to the front: FIRST, then the largest that compares methods. A protocol's rows are
        to be compared with a publication, and smoke tests are no results."""
        place = FIRST.index(self.board.name) if self.board.name in FIRST else len(FIRST)
        successful = sum(row.n for table in self.board.tables for row in table.rows)
        return place, self.kind != "benchmark", self.kind == "smoke", -successful

    def command(self, scenario: str, method: str, seeds: Iterable[int]) -> str:
        """The command that runs these cells."""
        run = shlex.join(["python", "-m", "benchmarks", "run", *self.arguments])
        return f"{run} --scenarios {selection(scenario)} --methods {selection(method)} --seeds {seed_selection(seeds)}"

    @property
    def methods(self) -> dict[str, Facts]:
        """Every method of the suite, by the name that the suite gives it."""
        names = dict.fromkeys(row.method for table in self.board.tables for row in table.rows)
        return {name: _facts(name, self.runs) for name in names}


@dataclass(frozen=True)
class Facts:
    """filters: family, and yes, no or UNKNOWN for "task" (needs the task id at test) and "buffer" (stores examples of past
    tasks). about, source: one line each, may be empty."""

    filters: dict[str, str]
    about: str = ""
    source: str = ""

    @property
    def text(self) -> str:
        """The facts that can be filtered by, in words."""
        if UNKNOWN in self.filters.values():
            return "needs and buffer not known here"
        needs = "needs the task id at test" if self.filters["task"] == "yes" else "needs no task id"
        buffer = "keeps a buffer" if self.filters["buffer"] == "yes" else "keeps no buffer"
        return f"{self.filters['family']}; {needs}; {buffer}"


def _facts(name: str, all_runs: Sequence[Runs]) -> Facts:
    """Of another program only what was said with its predictions. A suite may call a method as it likes; which one it is, the resolved settings say, where it can run at all."""
    resolved = [runs.settings[name]["method"] for runs in all_runs if name in runs.settings]
    said = next((text for runs in all_runs if name in runs.scored and (text := scored_text(runs.scored[name]))), "")
    if said:
        return Facts({"family": "scored", "task": UNKNOWN, "buffer": UNKNOWN}, said)
    declared = declarations.method(resolved[0]["name"] if resolved else name)
    stored = "yes" if any(method["settings"].get("buffer_size") for method in resolved) else "no"
    if declared is None:
        return Facts({"family": "other", "task": "no", "buffer": stored})
    needs = "yes" if declared.needs_task_id else "no"
    return Facts({"family": declared.family, "task": needs, "buffer": stored}, declared.about, declared.source)
