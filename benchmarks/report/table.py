"""One table a scenario, as data: what the markdown, the csv, LaTeX, the terminal and any other page show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.records.columns import Measure
from benchmarks.records.flags import Flag, not_a_number, warnings_of
from benchmarks.records.remarks import COSTS_OF_PAST_DATA, is_remarked, memory_remarks, remark
from benchmarks.records.results import BySeed, Role, Runs
from benchmarks.records.scored import scored_text
from benchmarks.records.significance import ALPHA, family
from benchmarks.report.measures import measures_for
from benchmarks.report.units import Number, Unit, decimals_for, shown, unit_for
from benchmarks.wording import last_line, numbers
from metrics import Summary

Mark = Literal["", "best", "tied"]
WARNING = "⚠ warning: "


@dataclass(frozen=True)
class Cell:
    """values: by seed, raw. summary: of all of them, None where `text` ("n/a", "not run", "failed") stands instead.
    notes: numbers of the table's notes."""

    text: str = ""
    values: BySeed = field(default_factory=dict)
    summary: Summary | None = None
    mark: Mark = ""
    warned: bool = False
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """One method. n: seeds that succeeded, of `seeds` asked for. possible: whether it can run in this setting.
    warned: whether there is a warning about a measure that the table does not show. chosen: how its hyperparameters were."""

    method: str
    role: Role
    possible: bool
    n: int
    seeds: int
    warned: bool
    notes: tuple[int, ...]
    cells: tuple[Cell, ...]
    chosen: str = ""

    @property
    def seeds_text(self) -> str:
        return f"{self.n}/{self.seeds}" if self.possible else "n/a"


@dataclass(frozen=True)
class Column:
    """A measure with the unit and the digits in which this table shows it."""

    measure: Measure
    unit: Unit
    decimals: int

    def number(self, summary: Summary) -> Number:
        return shown(summary, self.measure.kind, self.unit, self.decimals)

    @property
    def arrow(self) -> str:
        return "↑" if self.measure.direction == "higher" else "↓"


@dataclass(frozen=True)
class Table:
    """One scenario. Rows: upper bounds, methods by falling ACC, lower bounds. Note k is notes[k - 1]."""

    scenario: str
    setting: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def column(self, index: int) -> list[Cell]:
        """The cells below a head, from top to bottom."""
        return [row.cells[index] for row in self.rows]

    def texts(self, name: Callable[[Row], str], cell: Callable[[Cell, Column, int], str]) -> list[list[str]]:
        """The rows as texts: `name`, the seeds where they must stand in each row, and each `cell` of its column and the
        digits of the longest half width there."""
        widths = []
        for k, column in enumerate(self.columns):
            numbers = [column.number(cell.summary) for cell in self.column(k) if cell.summary]
            widths.append(max((len(number.half_width) for number in numbers), default=0))
        return [
            [name(row), *([row.seeds_text] if self.uneven else []), *map(cell, row.cells, self.columns, widths)]
            for row in self.rows
        ]

    @property
    def uneven(self) -> bool:
        """Whether rows that could run differ in their seeds, so that n must stand in each row."""
        return len({row.n for row in self.rows if row.possible}) > 1

    def marked(self, mark: Mark) -> bool:
        """Whether any cell bears this mark."""
        return any(cell.mark == mark for row in self.rows for cell in row.cells)

    @property
    def warned(self) -> bool:
        return any(note.startswith(WARNING) for note in self.notes)

    @property
    def n(self) -> int:
        """Seeds that succeeded, in the row that has most."""
        return max((row.n for row in self.rows), default=0)


def make_tables(all_runs: Sequence[Runs], metrics: list[str] | None) -> list[Table]:
    """The tables of a suite, in its order; units are the same in all of them."""
    bodies = [_Body(runs, measures_for(metrics, runs)) for runs in all_runs]
    means: dict[str, list[float]] = {}
    for body in bodies:
        for measure in body.measures:
            means.setdefault(measure.kind, []).extend(s.mean for s in body.summaries(measure))
    return [body.table(means) for body in bodies]


class Notes:
    """Numbered from 1 in the order of their first use; the same text has the same number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


class _Body:
    """The values of one table and the making of its rows."""

    def __init__(self, runs: Runs, measures: list[Measure]):
        self.runs, self.measures, self.notes = runs, measures, Notes()
        self.flags: dict[tuple[str, str], list[Flag]] = {}
        for flag in warnings_of(runs):
            shown = any(measure.id == flag.measure for measure in measures)
            self.flags.setdefault((flag.method, flag.measure if shown else ""), []).append(flag)

    def summaries(self, measure: Measure) -> list[Summary]:
        return [summary for summary in self.runs.summaries(measure.id).values() if summary.n]

    def table(self, means: Mapping[str, list[float]]) -> Table:
        marks = {measure.id: self._marks(measure) for measure in self.measures if measure.ranked}
        rows = [self._row(method, marks) for method in self._order()]
        columns = []
        for measure in self.measures:
            unit = unit_for(measure.kind, means[measure.kind])
            columns.append(Column(measure, unit, decimals_for(measure.kind, unit, self.summaries(measure))))
        return Table(self.runs.scenario, self.runs.setting, tuple(columns), tuple(rows), tuple(self.notes.texts))

    def _order(self) -> list[str]:
        """Bounds at both ends; inside, what has a number by falling ACC, the rest as the suite lists it."""
        accuracy = self.runs.summaries("acc")

        def rank(method: str) -> float:
            mean = accuracy[method].mean
            return -round(mean, 12) if not math.isnan(mean) else 1.0

        roles: tuple[Role, ...] = ("upper bound", "method", "lower bound")
        return [method for role in roles for method in sorted(self.runs.named(role), key=rank)]

    def _marks(self, measure: Measure) -> dict[str, Mark]:
        """The best competitor, any with the same mean, and those that a paired test cannot tell from it; nothing from
        a single seed."""
        tests = family(self.runs, self.runs.values(measure.id))
        best = tests.best(measure.direction)
        if best is None or len(tests.ranked) < 2 or len(tests.values[best]) < 2:
            return {}
        p_values = tests.p_values(best)
        marks: dict[str, Mark] = {m: "tied" for m in tests.ranked if p_values.get(m, 0.0) > ALPHA}
        means = {method: round(self.runs.summaries(measure.id)[method].mean, 12) for method in tests.ranked}
        return marks | {method: "best" for method, mean in means.items() if mean == means[best]}

    def _row(self, method: str, marks: Mapping[str, Mapping[str, Mark]]) -> Row:
        runs = self.runs
        done, records = runs.done(method), runs.records[method]
        if method in runs.impossible:
            note = (self.notes.number(f"n/a: {runs.impossible[method]}"),)
            cells = tuple(Cell("n/a", notes=note) for _ in self.measures)
            return Row(method, runs.roles[method], False, 0, len(runs.seeds), False, (), cells)
        notes = [self.notes.number(text) for text in self._remarks(method)]
        if done:
            cells = tuple(self._cell(method, m, marks.get(m.id, {}).get(method, "")) for m in self.measures)
        else:
            cells = tuple(Cell("failed" if records else "not run") for _ in self.measures)
        warned = (method, "") in self.flags
        return Row(
            method,
            runs.roles[method],
            True,
            len(done),
            len(runs.seeds),
            warned,
            tuple(notes),
            cells,
            runs.chosen.get(method, ""),
        )

    def _remarks(self, method: str) -> list[str]:
        """What a reader must know of the whole row: failures, seeds not run, warnings about a column not shown."""
        runs = self.runs
        done, records = runs.done(method), runs.records[method]
        failures: dict[str, list[int]] = {}
        for seed, record in records.items():
            if record.status != "done":
                failures.setdefault(f"{record.status}: {last_line(record.error)}", []).append(seed)
        remarks = [f"{method}: {numbers(seeds, 'seed')} {reason}" for reason, seeds in failures.items()]
        if method in runs.scored:
            remarks.append(f"{method}: {scored_text(runs.scored[method])}")
        unseen = [seed for seed in runs.seeds if seed not in records]
        if records and unseen:
            remarks.append(f"{numbers(unseen, 'seed')} not {'scored' if method in runs.scored else 'run'}")
        if done and runs.roles[method] == "method" and method not in runs.competitors():
            remarks.append("not ranked: others have more seeds, and means over other seeds do not compare")
        if method in runs.tuned:
            flops = runs.tuned[method].flops
            unit = unit_for("flops", [flops])
            spent = f"{flops * unit.factor:.3g} {unit.text}"
            remarks.append(f"{method}: {runs.chosen[method]}, whose {spent} of training stand apart")
        remarks += memory_remarks(method, done.values())
        remarks += [f"{WARNING}{method}: {flag.text}" for flag in self.flags.get((method, ""), [])]
        return remarks

    def _cell(self, method: str, measure: Measure, mark: Mark) -> Cell:
        values = self.runs.values(measure.id)[method]
        reasons = self.runs.reasons(measure.id)[method]
        if not values:
            return Cell("n/a", notes=tuple(self.notes.number(f"n/a: {reason}") for reason in reasons))
        notes = [
            self.notes.number(f"{measure.label} of {method} leaves out {numbers(seeds, 'seed')}: {reason}")
            for reason, seeds in reasons.items()
        ]
        if is_remarked(measure.id):
            done, joints = self.runs.done(method).values(), self.runs.joint(method)
            said = map(remark, [measure.id] * len(joints), done, joints)
            notes += [self.notes.number(text) for text in dict.fromkeys(said) if text]
        if self.runs.roles[method] == "upper bound" and measure.id in COSTS_OF_PAST_DATA:
            notes.append(self.notes.number(COSTS_OF_PAST_DATA[measure.id]))
        warnings = [flag.text for flag in self.flags.get((method, measure.id), [])]
        broken = not_a_number(values)
        if broken:
            warnings.append(broken)
        notes += [self.notes.number(f"{WARNING}{method}: {text}") for text in warnings]
        return Cell("", values, self.runs.summaries(measure.id)[method], mark, bool(warnings), tuple(notes))
