"""The leaderboard as csv: one line a scenario, method and measure, raw values, nothing rounded away."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from benchmarks.plain_text import spreadsheet_text
from benchmarks.records.columns import Kind
from benchmarks.report.leaderboard import SMOKE, Leaderboard

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
    frame = pd.DataFrame(_lines(board))
    texts = frame.columns.difference(["better", "mean", "half_width_95", "std", "n"])
    frame[texts] = frame[texts].map(lambda value: spreadsheet_text(str(value)))
    return frame.to_csv(index=False, lineterminator="\n")


def _lines(board: Leaderboard) -> Iterator[dict[str, object]]:
    for table in board.tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                measure, summary = column.measure, cell.summary
                yield {
                    "suite": f"{board.name} ({SMOKE})" if board.smoke else board.name,
                    "scenario": table.scenario,
                    "setting": table.setting,
                    "method": row.method,
                    "role": row.role,
                    "chosen": row.chosen,
                    "measure": measure.id,
                    "unit": RAW_UNITS[measure.kind],
                    "better": measure.direction,
                    "mean": _text(summary.mean) if summary else "",
                    "half_width_95": _text(summary.half_width) if summary else "",
                    "std": _text(summary.std) if summary else "",
                    "n": summary.n if summary else 0,
                    "seeds": row.seeds,
                    "mark": cell.mark,
                    "warning": "yes" if cell.warned else "",
                    "status": cell.text or "done",
                    "notes": "; ".join(table.notes[k - 1] for k in dict.fromkeys((*row.notes, *cell.notes))),
                }


def _text(value: float) -> str:
    """Ten digits: more than any count carries, fewer than machines differ in. What is 0 but for rounding is 0."""
    return "" if math.isnan(value) else f"{round(value, 12) + 0.0:.10g}"
