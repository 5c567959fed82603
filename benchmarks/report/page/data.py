"""The page's data: what its script needs to sort, filter and draw, once, as compact JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

from benchmarks.records.results import Runs
from benchmarks.report.leaderboard import Leaderboard
from benchmarks.report.measures import Measure
from benchmarks.report.page.suite import PageSuite, opening, seed_selection, selection
from benchmarks.report.significance import family, pair_p_values
from benchmarks.report.table import Row, Table
from benchmarks.report.units import unit_for
from metrics import summarise_each

Json = dict[str, Any]
SETTINGS = ("scenario", "method", "model", "training")
ENVIRONMENT = ("commit", "hardware", "device", "threads", "system", "versions")


def page_data(suites: list[PageSuite]) -> Json:
    """The whole document. Accuracies are whole numbers of tenths of a percent; null is what was not evaluated."""
    parts = _Parts()
    found = [_suite(suite, parts) for suite in suites]
    document = {"measures": _measures([s.board for s in suites]), "opens": opening(suites), "suites": found}
    return document | {"parts": parts.all, "settings": SETTINGS}


def embedded(document: Json) -> str:
    """`document` as JSON that may stand inside a <script> element, whatever its texts say."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Beside markup, what a terminal or an editor would obey; JSON itself writes out the other control characters.
    return re.sub("[<>&\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", lambda c: f"\\u{ord(c[0]):04x}", text)


class _Parts:
    """Settings and environments that many rows share, each once; rows hold their indices."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._known: dict[str, int] = {}

    def index(self, part: Any) -> int:
        key = json.dumps(part, sort_keys=True)
        if key not in self._known:
            self._known[key] = len(self.all)
            self.all.append(json.loads(key))
        return self._known[key]


def _measures(boards: list[Leaderboard]) -> Json:
    measures: dict[str, Measure] = {measure.id: measure for board in boards for measure in board.measures}
    return {
        id: {
            "label": m.label,
            "name": m.name,
            "formula": m.formula,
            "source": m.source,
            "better": m.direction,
            "ranked": m.ranked,
            "unit": unit_for(m.kind, []).text,
        }
        for id, m in measures.items()
    }


def _suite(suite: PageSuite, parts: _Parts) -> Json:
    methods = {
        name: {
            "family": facts.family,
            "task": facts.needs_task_id,
            "buffer": facts.keeps_buffer,
            "about": facts.about,
            "source": facts.source,
            "argument": selection(name),
        }
        for name, facts in suite.methods.items()
    }
    tables = [_table(table, runs, parts) for table, runs in zip(suite.board.tables, suite.runs, strict=True)]
    return {
        "name": suite.board.name,
        "title": suite.board.title,
        "command": suite.command,
        "methods": methods,
        "tables": tables,
    }


def _table(table: Table, runs: Runs, parts: _Parts) -> Json:
    """ranked, p: by measure, the rows that can be best (of equal ones the first is), and the tests between all rows."""
    names = [row.method for row in table.rows]
    ranked: dict[str, list[int]] = {}
    tests: dict[str, list[float | None]] = {}
    for i, column in enumerate(table.columns):
        if column.measure.ranked:
            own = family(runs, {row.method: row.cells[i].values for row in table.rows})
            ranked[column.measure.id] = [names.index(name) for name in own.ranked]
            tests[column.measure.id] = pair_p_values([own.values.get(name, {}) for name in names])
    return {
        "scenario": table.scenario,
        "setting": table.setting,
        "argument": selection(table.scenario),
        "columns": [column.measure.id for column in table.columns],
        "ranked": ranked,
        "p": tests,
        "rows": [_row(row, runs, parts) for row in table.rows],
    }


def _row(row: Row, runs: Runs, parts: _Parts) -> Json:
    """settings: indices of its parts, in the order of SETTINGS. notes: their numbers."""
    records = runs.records[row.method]
    found: Json = {
        "method": row.method,
        "role": row.role,
        "n": row.n,
        "seeds": seed_selection(records or runs.seeds),
        "values": [_number(cell.summary.mean) if cell.summary else None for cell in row.cells],
        "notes": sorted({*row.notes, *(k for cell in row.cells for k in cell.notes)}),
    }
    if row.method in runs.settings:
        found["settings"] = [parts.index(runs.settings[row.method][k]) for k in SETTINGS]
    environments = [{k: r.environment.get(k) for k in ENVIRONMENT} for r in records.values()]
    found["environments"] = list(dict.fromkeys(map(parts.index, environments)))
    return found | _drawings(runs, row.method)


def _drawings(runs: Runs, method: str) -> Json:
    """The mean matrix row by row, and the curves: [means, half widths of their 95% intervals]."""
    records = runs.done(method).values()
    if not records:
        return {}
    return {
        "matrix": _tenths(np.mean([np.divide(*r.matrix.arrays) for r in records], axis=0).ravel()),
        "accuracy": _curve(runs.curve(method, "mean")),
        "forgetting": _curve(runs.curve(method, "forgetting")[:, :-1]),
    }


def _curve(by_seed: np.ndarray) -> list[list[int | None]]:
    return [_tenths(own) for own in summarise_each(by_seed)]


def _tenths(fractions: np.ndarray) -> list[int | None]:
    """Fractions as whole numbers of tenths of a percent."""
    return [None if math.isnan(value) else round(1000 * value) for value in fractions.tolist()]


def _number(value: float) -> float | int | None:
    """Seven digits: enough to tell means apart that any table shows apart."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.7g}")
    return int(short) if short.is_integer() else short
