"""The page's data: what its script needs to sort and filter, once, as compact JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from benchmarks.report.page.suite import PageSuite
from benchmarks.report.table import Column, Row, Table

Json = dict[str, Any]


def page_data(suites: Sequence[PageSuite]) -> Json:
    return {"suites": [{"title": s.board.title, "tables": [_table(s, t) for t in s.board.tables]} for s in suites]}


def embedded(document: Json) -> str:
    """`document` as JSON that may stand inside a <script> element, whatever its texts say."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Beside markup, what a terminal or an editor would obey; JSON itself writes out the other control characters.
    return re.sub("[<>&\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", lambda c: f"\\u{ord(c[0]):04x}", text)


def _table(suite: PageSuite, table: Table) -> Json:
    facts = suite.methods

    def row_data(row: Row) -> Json:
        own = facts[row.method]
        buffer, task = ("yes" if fact else "no" for fact in (own.keeps_buffer, own.needs_task_id))
        return {"method": row.method, "role": row.role, "family": own.family, "task": task, "buffer": buffer}

    return {
        "scenario": table.scenario,
        "setting": table.setting,
        "columns": list(map(_column, table.columns)),
        "rows": list(map(row_data, table.rows)),
    }


def _column(column: Column) -> Json:
    own = column.measure
    about = f"{own.name}: {own.formula}" if own.formula else own.name
    found = {"id": own.id, "label": own.label, "unit": column.unit.text, "about": about}
    return found | {"higher": own.direction == "higher", "ranked": own.ranked}
