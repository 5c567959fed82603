"""What a verb is asked about: a suite, what of it, and where its results lie.

What can be refused by name is refused before torch is imported, which takes longer than all else.
"""

from __future__ import annotations

import atexit
import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli.console import warn
from benchmarks.cli.options import RESULTS, names

if TYPE_CHECKING:
    from benchmarks.records.store import Scan, Store
    from benchmarks.request.grid import Grid


@dataclass(frozen=True)
class Asked:
    """`suite`: a name or a file; the rest as the options of the same names were given. Methods may also be programs
    whose predictions were scored, in own runs or published."""

    suite: str
    methods: str | None = None
    scenarios: str | None = None
    seeds: str | None = None
    changes: list[str] | None = None
    results_dir: Path = RESULTS

    def grid(self) -> Grid:
        """Raises SettingsError with all that is wrong with the request."""
        from benchmarks.request.load import load_suite

        suite = load_suite(
            self.suite, names(self.methods), names(self.scenarios), self.seeds, self.changes, self._scored
        )
        from benchmarks.request.grid import make_grid  # with torch, which a wrong name does without

        return make_grid(suite)

    def _scored(self, suite: str) -> set[str]:
        from benchmarks.records.scored import scored_names

        return scored_names(self.results_dir / "runs" / suite, self.results_dir / "published" / suite)

    def grid_and_store(self) -> tuple[Grid, Store]:
        """The grid, and the store of its own runs. Raises SettingsError, also where another suite's runs lie there."""
        grid = self.grid()
        from benchmarks.records.store import Store
        from benchmarks.records.suite_files import check_own

        runs = self.results_dir / "runs" / grid.suite.name
        check_own(self.suite, grid.suite.name, runs)
        return grid, Store(runs)


def scan_of(store: Store) -> Scan:
    """The records of `store` with their sources; those that are not believed are named."""
    from benchmarks.records.provenance import traced

    return traced(named(store.scan()))


def named(scan: Scan) -> Scan:
    """`scan`, when the records in it that are not believed have been named."""
    for problem in scan.problems:
        warn(problem)
    gc.freeze()  # records stay until the command ends: none is garbage to be looked for
    atexit.register(gc.unfreeze)  # then all is, or bindings such as triton's say that it leaks
    return scan


def unless_named(scan: Scan):
    """Names a record that is not believed, unless it was when `scan` was made."""
    return lambda problem: None if problem in scan.problems else warn(problem)


def say_other_code(grid: Grid, scan: Scan) -> None:
    """Says which records other code than today's has made."""
    from benchmarks.records.provenance import made, other_code_text, unknown_text

    by = made(grid, scan)
    for text in (other_code_text(by), unknown_text(by)):
        if text:
            warn(f"note: {text}; `run --fresh` runs these cells again")
