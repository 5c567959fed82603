"""The ledger: each published value beside ours, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from benchmarks.ledger.published import REFERENCES, Published, Reference, load_reference
from benchmarks.records.matching import matched_by_name
from benchmarks.records.published import FILE, PublishedStore
from benchmarks.records.record import RunRecord
from benchmarks.records.results import Results, Runs, results_of
from benchmarks.records.store import Scan, Store
from benchmarks.request.catalogue import suite_names
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid, make_grid
from benchmarks.request.load import load_suite
from benchmarks.wording import numbers
from metrics import Difference, Estimate, Summary, summarise, welch_difference
from scenarios.nearest import nearest

Verdict = Literal["agrees", "differs", "not run"]

CLOSE = 0.5
"""Percentage points within which two means agree, whatever their intervals."""
WIDE = 5.0
"""Percentage points: to lie within an interval wider than ± this says little, and the page says so."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Ours:
    """Our runs of one scenario and method. summary, low, high: of the score over the seeds that are done, in percent;
    None without any. broken: seeds that diverged or failed; missing: seeds that have no record; begun: seeds left out until
    all methods have run them."""

    scenario: str
    method: str
    summary: Summary | None
    low: float
    high: float
    broken: dict[str, list[int]]
    missing: list[int]
    begun: list[int]

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of the mean: which seeds it leaves out."""
        remarks = [f"{numbers(seeds, 'seed')} {status}, left out of the mean" for status, seeds in self.broken.items()]
        if self.begun:
            remarks.append(f"{numbers(self.begun, 'seed')} left out until all methods have run it")
        return remarks + ([f"{numbers(self.missing, 'seed')} not run yet"] if self.missing else [])


@dataclass(frozen=True)
class Row:
    """One published cell. ours: None where no method answers it. difference: ours - published, in percentage points.
    why: which rule the verdict follows from, or why there is nothing to compare."""

    protocol: str
    published: Published
    ours: Ours | None
    difference: Difference | None
    verdict: Verdict
    why: str

    @property
    def weak(self) -> bool:
        """Whether it agrees only because the spread over seeds is large."""
        if self.verdict != "agrees" or self.difference is None:
            return False
        return self.difference.half_width > WIDE and abs(self.difference.mean) - _ROUNDING > CLOSE


@dataclass(frozen=True)
class Entry:
    """One protocol: our records, and the published values where there are any. tables, records: where ours lie,
    relative to the page."""

    grid: Grid
    scan: Scan
    reference: Reference | None
    tables: str = "."
    records: str = "records"

    @property
    def name(self) -> str:
        return self.grid.suite.name

    @cached_property
    def results(self) -> Results:
        return results_of(self.grid, self.scan)


def protocol_names() -> list[str]:
    """The suites of kind protocol: those with published values first."""
    names = [name for name in suite_names() if load_suite(name).kind == "protocol"]
    return sorted(names, key=lambda name: (not (REFERENCES / f"{name}.csv").is_file(), name))


def load_protocols(names: Sequence[str] = ()) -> dict[str, tuple[Grid, Reference | None]]:
    """The protocols named, or all, each with its published values, checked against each other.

    Raises SettingsError with everything that is wrong, so that nothing runs for hours towards a broken comparison.
    """
    known, problems = protocol_names(), []
    loaded: dict[str, tuple[Grid, Reference | None]] = {}
    for name in dict.fromkeys(names or known):
        if name not in known:
            hint = "; it is a suite but no protocol: `run` it" if name in suite_names() else nearest(name, known)
            problems.append(f"unknown protocol {name!r}{hint}")
            continue
        try:
            grid, reference = make_grid(load_suite(name)), load_reference(name)
            if reference:
                reference.check(grid.suite)
            loaded[name] = (grid, reference)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return loaded


def entries_of(
    results: Path, published: bool = False, say: Callable[[str], object] = lambda problem: None
) -> list[Entry]:
    """Every protocol with the records of your own runs, or with the committed ones.

    Raises SettingsError as `load_protocols`, and for a committed record that is not believed: without it the page
    would be another one. say: called with a line for each such record among your own, which is left out.
    """
    entries, problems = [], []
    for name, (grid, reference) in load_protocols().items():
        try:
            entries.append(entry_of(results, name, grid, reference, published, say))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return entries


def entry_of(
    results: Path,
    name: str,
    grid: Grid,
    reference: Reference | None,
    published: bool,
    say: Callable[[str], object],
) -> Entry:
    """The suite `name` with its records; raises and says as `entries_of`."""
    if published:
        scan = matched_by_name(grid, PublishedStore(results / "published" / name).scan())
        if scan.problems:
            raise SettingsError(scan.problems)
        return Entry(grid, scan, reference, name, f"{name}/{FILE}")
    scan = Store(results / "runs" / name).scan()
    for problem in scan.problems:
        say(problem)
    return Entry(grid, scan, reference, ".", f"../runs/{name}")


def compare(entry: Entry) -> list[Row]:
    """A row for each published value, in the order of the .csv; none without published values."""
    if entry.reference is None:
        return []
    runs = {one.scenario: one for one in entry.results.runs}
    return [_row(row, entry.reference, entry.grid, runs) for row in entry.reference.rows]


def unmatched(entry: Entry, id: str = "acc") -> list[Ours]:
    """Our cells that no published value answers to, in the suite's order: all of them without published values."""
    matched = set()
    if entry.reference:
        names = entry.reference
        matched = {
            (names.scenarios[row.scenario], names.methods[row.method])
            for row in names.rows
            if row.method in names.methods
        }
    return [
        our_runs(runs, method, id)
        for runs in entry.results.runs
        for method in runs.roles
        if (runs.scenario, method) not in matched and method not in runs.impossible
    ]


def our_runs(runs: Runs, method: str, id: str) -> Ours:
    """What the records say of `method` under the score `id`."""
    records: dict[int, RunRecord] = runs.records[method]
    values = [100 * value for value in runs.done_frame[id][runs.done_frame["method"] == method].tolist()]
    broken: dict[str, list[int]] = {}
    for record in [*records.values(), *(r for r in runs.begun_records if r.method == method)]:
        if record.status != "done":
            broken.setdefault(record.status, []).append(record.seed)
    missing = [seed for seed in runs.seeds if seed not in records and seed not in runs.begun]
    begun = [seed for seed in runs.begun if all(seed not in seeds for seeds in broken.values())]
    if not values:
        return Ours(runs.scenario, method, None, math.nan, math.nan, broken, missing, begun)
    return Ours(runs.scenario, method, summarise(values), min(values), max(values), broken, missing, begun)


def judge(ours: Summary, published: Estimate) -> tuple[Difference, Verdict, str]:
    """The difference ours - published, the verdict, and the rule it follows from. Both in percent."""
    estimate = Estimate(ours.mean, ours.std / math.sqrt(ours.n), ours.n)
    difference = welch_difference(estimate, published)
    size = abs(difference.mean) - _ROUNDING
    rules = [
        text
        for text, holds in (("interval", size <= difference.half_width), (f"{CLOSE:g} points", size <= CLOSE))
        if holds
    ]
    return difference, "agrees" if rules else "differs", " and ".join(rules)


def _row(row: Published, reference: Reference, grid: Grid, runs: dict[str, Runs]) -> Row:
    name = reference.protocol
    if row.method in reference.not_run:
        return Row(name, row, None, None, "not run", reference.not_run[row.method])
    scenario, method = reference.scenarios[row.scenario], reference.methods[row.method]
    if (scenario, method) in grid.impossible:
        return Row(name, row, None, None, "not run", grid.impossible[scenario, method])
    ours = our_runs(runs[scenario], method, reference.scores[row.metric])
    if ours.broken:
        # A mean over the seeds that happened to survive would flatter us; the publication's runs all ended.
        count, all_seeds = sum(map(len, ours.broken.values())), len(runs[scenario].seeds)
        return Row(name, row, ours, None, "differs", f"{count} of our {all_seeds} seeds {' or '.join(ours.broken)}")
    if ours.summary is None:
        why = f"wants {reference.waits_for}" if reference.waits_for else "no published records of ours yet"
        return Row(name, row, ours, None, "not run", why)
    if ours.summary.n < 2:
        return Row(name, row, ours, None, "not run", "a single seed of ours: no spread to judge by")
    if math.isnan(ours.summary.mean):
        return Row(name, row, ours, None, "not run", f"our records do not define `{reference.scores[row.metric]}`")
    difference, verdict, why = judge(ours.summary, row.estimate)
    return Row(name, row, ours, difference, verdict, why)
