"""The leaderboard as csv: one line a scenario, method and measure, raw values, nothing rounded away."""

from __future__ import annotations

import csv
import io
import math

from benchmarks.plain_text import spreadsheet_text
from benchmarks.report.leaderboard import SMOKE, Leaderboard
from benchmarks.report.measures import Kind
from benchmarks.report.table import Cell

HEAD = [
    *("suite", "scenario", "setting", "method", "role", "measure", "unit", "better"),
    *("mean", "half_width_95", "std", "n", "seeds", "mark", "suspicious", "status", "notes"),
]
RAW_UNITS: dict[Kind, str] = {
    "fraction": "fraction",
    "difference": "difference of fractions",
    "flops per image": "FLOP per image",
    "flops": "FLOP",
    "seconds": "s",
    "bytes": "B",
}


def csv_text(board: Leaderboard) -> str:
    """The whole file. Accuracies are fractions here, not percent; what is not a number is an empty field.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    suite = f"{board.name} ({SMOKE})" if board.smoke else board.name
    for table in board.tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                measure = column.measure
                notes = "; ".join(table.notes[k - 1] for k in dict.fromkeys((*row.notes, *cell.notes)))
                head = (suite, table.scenario, table.setting, row.method, row.role, measure.id, RAW_UNITS[measure.kind])
                tail = (row.seeds, cell.mark, "yes" if cell.suspicious else "", cell.text or "done", notes)
                before, after = ([spreadsheet_text(str(text)) for text in part] for part in (head, tail))
                writer.writerow([*before, measure.direction, *_numbers(cell), *after])
    return text.getvalue()


def _numbers(cell: Cell) -> tuple[str, str, str, int]:
    summary = cell.summary
    if summary is None:
        return "", "", "", 0
    return _text(summary.mean), _text(summary.half_width), _text(summary.std), summary.n


def _text(value: float) -> str:
    """Ten digits: more than any count carries, fewer than machines differ in. What is 0 but for rounding is 0."""
    return "" if math.isnan(value) else f"{round(value, 12) + 0.0:.10g}"
