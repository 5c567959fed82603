"""The file itself: a template with the style, the script, the tables and the data in it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records.atomic_write import write_whole
from benchmarks.report.page.data import embedded, page_data
from benchmarks.report.page.sections import contents, escape_html, sections
from benchmarks.report.page.suite import PageSuite

HERE = Path(__file__).parent


def write_page(folder: Path, suites: Sequence[PageSuite], title: str = "Leaderboards") -> Path:
    """Writes `folder`/index.html, the same bytes for the same records, and returns its path."""
    return write_whole(folder / "index.html", page(suites, title))


def page(suites: Sequence[PageSuite], title: str = "Leaderboards") -> str:
    """The whole document. It loads the plots beside it and nothing else, and only the script in it may run: its own
    policy says so. The suites stand in the order in which a reader wants them, and the first is shown."""
    ordered = sorted(suites, key=lambda suite: suite.rank)
    script = _file("page.js")
    values = {
        "title": escape_html(title),
        "script-hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "style": _file("page.css"),
        "contents": contents(ordered),
        "sections": sections(ordered),
        "data": embedded(page_data(ordered)),
        "script": script,
    }
    # In one pass: a text that happens to look like a placeholder stays what it is.
    return re.sub(r"\{\{([a-z-]+)\}\}", lambda found: values[found[1]], _file("page.html"))


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
