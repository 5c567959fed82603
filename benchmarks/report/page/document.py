"""index.html: every suite on one page that needs no server, no network and, for the tables themselves, no script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.records.atomic_write import write_whole
from benchmarks.report.page.sections import contents, escape_html, sections
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.table import Column

HERE = Path(__file__).parent


def write_page(folder: Path, suites: Sequence[PageSuite], title: str = "Leaderboards") -> Path:
    """Writes `folder`/index.html, the same bytes for the same records, and returns its path."""
    return write_whole(folder / "index.html", page(suites, title))


def page(suites: Sequence[PageSuite], title: str = "Leaderboards") -> str:
    """The whole document. It loads the plots beside it and nothing else, and only the script in it may run: its own
    policy says so. The suites stand in the order in which a reader wants them, and the first is shown."""
    ordered = sorted(suites, key=lambda suite: suite.rank)
    template, style, script = ((HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    values = {
        "title": escape_html(title),
        "script-hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "style": style,
        "contents": contents(ordered),
        "sections": sections(ordered),
        "data": embedded({"suites": list(map(_suite, ordered))}),
        "script": script,
    }
    # In one pass: a text that happens to look like a placeholder stays what it is.
    return re.sub(r"\{\{([a-z-]+)\}\}", lambda found: values[found[1]], template)


def embedded(document: dict[str, Any]) -> str:
    """`document` as JSON that may stand inside a <script> element, whatever its texts say."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Beside markup, what a terminal or an editor would obey; JSON itself writes out the other control characters.
    return re.sub("[<>&\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", lambda c: f"\\u{ord(c[0]):04x}", text)


def _suite(suite: PageSuite) -> dict[str, Any]:
    """What the script needs to sort and filter."""
    facts, tables = suite.methods, []
    for table in suite.board.tables:
        rows = [{"method": row.method, "role": row.role} | facts[row.method].filters for row in table.rows]
        columns = list(map(_column, table.columns))
        tables.append({"scenario": table.scenario, "setting": table.setting, "columns": columns, "rows": rows})
    return {"title": suite.board.title, "tables": tables}


def _column(column: Column) -> dict[str, Any]:
    measure = column.measure
    about = f"{measure.name}: {measure.formula}" if measure.formula else measure.name
    found = {"id": measure.id, "label": measure.label, "unit": column.unit.text, "about": about}
    return found | {"higher": measure.direction == "higher", "ranked": measure.ranked}
