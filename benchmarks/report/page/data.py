"""The page's data: what its script needs to sort and filter, once, as compact JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from benchmarks.records.results import Runs
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.significance import family, pair_p_values
from benchmarks.report.table import Table

Json = dict[str, Any]


def page_data(suites: list[PageSuite]) -> Json:
    """The whole document; null is what a record does not tell."""
    measures = {measure.id: measure for suite in suites for measure in suite.board.measures}
    about = ("label", "name", "formula", "source", "direction", "ranked")
    return {
        "measures": {id: {name: getattr(measure, name) for name in about} for id, measure in measures.items()},
        "suites": [_suite(suite) for suite in suites],
    }


def embedded(document: Json) -> str:
    """`document` as JSON that may stand inside a <script> element, whatever its texts say."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Beside markup, what a terminal or an editor would obey; JSON itself writes out the other control characters.
    return re.sub("[<>&\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", lambda c: f"\\u{ord(c[0]):04x}", text)


def _suite(suite: PageSuite) -> Json:
    methods = {
        name: {"family": facts.family, "task": facts.needs_task_id, "buffer": facts.keeps_buffer}
        for name, facts in suite.methods.items()
    }
    tables = [_table(table, runs) for table, runs in zip(suite.board.tables, suite.runs, strict=True)]
    return {"title": suite.board.title, "methods": methods, "tables": tables}


def _table(table: Table, runs: Runs) -> Json:
    """ranked, p: by measure, the rows that can be best (of equal ones the first is), and the tests between all rows.
    values: of each row, in the order of the columns."""
    names = [row.method for row in table.rows]
    ranked: dict[str, list[int]] = {}
    tests: dict[str, list[float | None]] = {}
    for i, column in enumerate(table.columns):
        if column.measure.ranked:
            own = family(runs, {row.method: row.cells[i].values for row in table.rows})
            ranked[column.measure.id] = [names.index(name) for name in own.ranked]
            tests[column.measure.id] = pair_p_values([own.values.get(name, {}) for name in names])
    rows = [
        {
            "method": row.method,
            "role": row.role,
            "n": row.n,
            "values": [_number(cell.summary.mean) if cell.summary else None for cell in row.cells],
        }
        for row in table.rows
    ]
    columns = [column.measure.id for column in table.columns]
    return {
        "scenario": table.scenario,
        "setting": table.setting,
        "columns": columns,
        "ranked": ranked,
        "p": tests,
        "rows": rows,
    }


def _number(value: float) -> float | int | None:
    """Seven digits: enough to tell means apart that any table shows apart."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.7g}")
    return int(short) if short.is_integer() else short
