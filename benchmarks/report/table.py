"""One table a scenario, as data: what the markdown, the csv, LaTeX, the terminal and any other page show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.records.columns import COSTS, MODULES, OTHER_VIEWS, TUNING, Measure, measure
from benchmarks.records.flags import Flag, not_a_number, warnings_of
from benchmarks.records.networks import network_of
from benchmarks.records.record import RunRecord
from benchmarks.records.remarks import cost_of_past_data, is_remarked, memory_remarks, remark
from benchmarks.records.results import BySeed, Role, Runs
from benchmarks.records.scored import scored_text
from benchmarks.records.significance import Mark, marks_of
from benchmarks.records.units import Number, Unit, decimals_for, unit_for
from benchmarks.wording import cut, last_line, numbers
from metrics import Summary

WARNING = "⚠ warning: "
HEADLINE = ("acc", "bwt", "fwt", "fm.mean", "la", "aa")


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
        """No half width for one seed, nor for a cost whose interval has no digit to show."""
        if math.isnan(summary.mean):
            return Number("NaN", "")
        mean = f"{summary.mean * self.unit.factor:.{self.decimals}f}"
        if float(mean) == 0:
            mean = mean.removeprefix("-")
        half_width = f"{summary.half_width * self.unit.factor:.{self.decimals}f}"
        counted = self.measure.kind not in ("fraction", "difference")
        unseen = math.isnan(summary.half_width) or (counted and float(half_width) == 0)
        return Number(mean, "" if unseen else half_width)

    @property
    def arrow(self) -> str:
        return "↑" if self.measure.direction == "higher" else "↓"


@dataclass(frozen=True)
class Table:
    """One scenario. Rows: upper bounds, methods by falling ACC, lower bounds. Note k is notes[k - 1]. left_out: sentences
    on the methods that the suite leaves out here."""

    scenario: str
    setting: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def texts(self, name: Callable[[Row], str], cell: Callable[[Cell, Column, int], str]) -> list[list[str]]:
        """The rows as texts: `name`, the seeds where they must stand in each row, and each `cell` of its column and the
        digits of the longest half width there."""
        below = zip(*(row.cells for row in self.rows), strict=True)
        widths = [
            max(len(column.number(cell.summary).half_width) if cell.summary else 0 for cell in cells)
            for column, cells in zip(self.columns, below, strict=True)
        ]
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


def make_tables(all_runs: Sequence[Runs], metrics: Sequence[str] | None) -> list[Table]:
    """The tables of a suite, in its order; units are the same in all of them."""
    bodies = [_Body(runs, measures_for(metrics, runs)) for runs in all_runs]
    means: dict[str, list[float]] = {}
    for body in bodies:
        for column in body.measures:
            means.setdefault(column.kind, []).extend(s.mean for s in body.summaries(column))
    return [body.table(means) for body in bodies]


def measures_for(metrics: Sequence[str] | None, runs: Runs) -> list[Measure]:
    """The measures to show of `runs`, in order: those named (checked before), or the usual ones.

    Where ACC is shown and the records hold the same logits under another reading ("masked" or "unmasked"), ACC under
    that reading comes last.
    """
    ids = list(dict.fromkeys(metrics)) if metrics is not None else _usual(runs)
    records = runs.done_frame["record"]
    other_view = min((r.matrix_other_view for r in records if r.matrix_other and r.matrix_other_view), default=None)
    if other_view and "acc" in ids:
        ids.append(OTHER_VIEWS[other_view])
    return [measure(id) for id in ids]


def _usual(runs: Runs) -> list[str]:
    """The headline scores and the costs; D where classes come in turn, there is a joint method, and not all networks
    are MLPs; the FLOPs of modules alone where a record's differ from all FLOPs; those of tuning where a row is tuned."""
    mlp = all(network_of(settings).backbone == "mlp" for settings in runs.settings.values())
    d = runs.setting == "class" and runs.named("upper bound") and not mlp
    attention = any(remark(MODULES, record) for record in runs.done_frame["record"])
    costs = [id for id in COSTS if id != MODULES or attention]
    if runs.tuned:
        costs.insert(costs.index("flops.training") + 1, TUNING)
    return [*HEADLINE, *(["d"] if d else []), *costs]


class Notes:
    """Numbered from 1 in the order of their first use; the same text has the same number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def _hardware(record: RunRecord) -> str:
    return str(record.environment.get("hardware", "hardware not recorded"))


class _Body:
    """The values of one table and the making of its rows."""

    def __init__(self, runs: Runs, measures: list[Measure]):
        self.runs, self.measures, self.notes = runs, measures, Notes()
        self.hardware = {_hardware(record) for record in runs.done_frame["record"] if not record.scored}
        self.flags: dict[tuple[str, str], list[Flag]] = {}
        for flag in warnings_of(runs):
            shown = any(measure.id == flag.measure for measure in measures)
            self.flags.setdefault((flag.method, flag.measure if shown else ""), []).append(flag)

    def summaries(self, measure: Measure) -> list[Summary]:
        return [summary for summary in self.runs.summaries(measure.id).values() if summary.n]

    def table(self, means: Mapping[str, list[float]]) -> Table:
        marks = {m.id: marks_of(self.runs, m) for m in self.measures if m.ranked}
        rows = [self._row(method, marks) for method in self._order()]
        units = [unit_for(m.kind, means[m.kind]) for m in self.measures]
        columns = tuple(
            Column(m, unit, decimals_for(m.kind, unit, self.summaries(m)))
            for m, unit in zip(self.measures, units, strict=True)
        )
        notes, left_out = tuple(self.notes.texts), tuple(self._left_out())
        return Table(self.runs.scenario, self.runs.setting, columns, tuple(rows), notes, left_out)

    def _left_out(self) -> Iterator[str]:
        methods: dict[str, list[str]] = {}
        for method, why in self.runs.left_out.items():
            methods.setdefault(why, []).append(method)
        for why, names in methods.items():
            yield f"Left out by the suite: {', '.join(names)} ({why})."
        for seed, (n, of) in self.runs.begun.items():
            yield f"Seed {seed} has been run by {n} of {of} methods; it is left out until all have run it."

    def _order(self) -> list[str]:
        """Bounds at both ends; inside, what has a number by falling ACC, the rest as the suite lists it."""
        accuracy = self.runs.summaries("acc")

        def rank(method: str) -> float:
            mean = accuracy[method].mean
            return -round(mean, 12) if not math.isnan(mean) else 1.0

        roles: tuple[Role, ...] = ("upper bound", "method", "lower bound")
        return [method for role in roles for method in sorted(self.runs.named(role), key=rank)]

    def _row(self, method: str, marks: Mapping[str, Mapping[str, Mark]]) -> Row:
        runs, notes = self.runs, self.notes
        if method in runs.impossible:
            cell = Cell("n/a", notes=(notes.number(f"n/a: {runs.impossible[method]}"),))
            cells = (cell,) * len(self.measures)
            return Row(method, runs.roles[method], False, 0, len(runs.seeds), False, (), cells)
        done, remarks = runs.done(method), tuple(map(notes.number, self._remarks(method)))
        if done:
            cells = tuple(self._cell(method, m, marks.get(m.id, {}).get(method, "")) for m in self.measures)
        else:
            cells = (Cell("failed" if runs.records[method] else "not run"),) * len(self.measures)
        warned, chosen = (method, "") in self.flags, runs.chosen.get(method, "")
        return Row(method, runs.roles[method], True, len(done), len(runs.seeds), warned, remarks, cells, chosen)

    def _remarks(self, method: str) -> list[str]:
        """What a reader must know of the whole row: failures, seeds not run, warnings about a column not shown."""
        runs = self.runs
        done, records = runs.done(method), runs.records[method]
        failures: dict[str, list[int]] = {}
        for seed, record in records.items():
            if record.status != "done":
                failures.setdefault(f"{record.status}: {cut(last_line(record.error), 160)}", []).append(seed)
        remarks = [f"{method}: {numbers(seeds, 'seed')} {reason}" for reason, seeds in failures.items()]
        if method in runs.scored:
            remarks.append(f"{method}: {scored_text(runs.scored[method])}")
        unseen = [seed for seed in runs.seeds if seed not in records and seed not in runs.begun]
        if records and unseen:
            remarks.append(f"{numbers(unseen, 'seed')} not {'scored' if method in runs.scored else 'run'}")
        if done and runs.roles[method] == "method" and method not in runs.competitors():
            remarks.append("not ranked: others have more or other seeds, and means over other seeds do not compare")
        if method in runs.tuned:
            flops = runs.tuned[method].flops
            unit = unit_for("flops", [flops])
            spent = f"{flops * unit.factor:.3g} {unit.text}"
            remarks.append(f"{method}: {runs.chosen[method]}, whose {spent} of training stand apart")
        remarks += memory_remarks(method, done.values())
        remarks += [f"{WARNING}{method}: {flag.text}" for flag in self.flags.get((method, ""), [])]
        return remarks

    def _cell(self, method: str, measure: Measure, mark: Mark) -> Cell:
        runs, values = self.runs, self.runs.values(measure.id)[method]
        reasons = runs.reasons(measure.id)[method]
        if not values:
            return Cell("n/a", notes=tuple(self.notes.number(f"n/a: {reason}") for reason in reasons))
        texts = [
            f"{measure.label} of {method} leaves out {numbers(seeds, 'seed')}: {reason}"
            for reason, seeds in reasons.items()
        ]
        if measure.id == "seconds" and len(self.hardware) > 1:
            own = sorted(set(map(_hardware, runs.done(method).values())))
            texts.append(f"on {' and '.join(own)}: does not compare with times on other hardware")
        if is_remarked(measure.id):
            pairs = zip(runs.done(method).values(), runs.joint(method), strict=True)
            texts += filter(None, (remark(measure.id, record, joint) for record, joint in pairs))
        if runs.roles[method] == "upper bound" and (text := cost_of_past_data(measure.id, runs.done(method).values())):
            texts.append(text)
        warnings = [flag.text for flag in self.flags.get((method, measure.id), [])]
        warnings += filter(None, [not_a_number(values)])
        texts += [f"{WARNING}{method}: {text}" for text in warnings]
        notes = tuple(self.notes.number(text) for text in dict.fromkeys(texts))
        return Cell("", values, runs.summaries(measure.id)[method], mark, bool(warnings), notes)
