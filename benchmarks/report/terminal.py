"""The leaderboard as plain text, at most WIDTH columns wide."""

from __future__ import annotations

from tabulate import tabulate

from benchmarks.plain_text import one_line
from benchmarks.report import legend
from benchmarks.report.leaderboard import Leaderboard
from benchmarks.report.table import WARNING, Cell, Column, Row, Table

WIDTH = 100
COMPACT = ("acc", "bwt", "fm.mean", "flops.inference", "flops.training", "seconds")


def terminal(board: Leaderboard) -> str:
    """Every table, its warnings and failures, and what the marks mean. The files hold the rest."""
    parts = [one_line(board.title)]
    for table in board.tables:
        parts.append(_table(board, table))
    parts.append("\n".join(_legend(board)))
    return "\n\n".join(parts)


def _table(board: Leaderboard, table: Table) -> str:
    usual = {c.measure.id for c in table.columns} >= set(COMPACT)
    # Beside a column of seeds there is no room for BWT, which FM mostly mirrors.
    wanted = set(COMPACT) - ({"bwt"} if table.uneven else set())
    chosen = [i for i, c in enumerate(table.columns) if not usual or c.measure.id in wanted]
    lines = [["", *([""] if table.uneven else [])], ["", *(["seeds"] if table.uneven else [])]]
    lines += [[_name(row), *([row.seeds_text] if table.uneven else [])] for row in table.rows]
    left_out = []
    for i in chosen:
        column = table.columns[i]
        texts = [*_head(column), *_cells(column, table.column(i))]
        used = sum(max(map(len, cells)) + 2 for cells in zip(*lines, strict=True))
        if used + max(map(len, texts)) > WIDTH:
            left_out.append(column.measure.label)
            continue
        lines = [[*line, text] for line, text in zip(lines, texts, strict=True)]
    sides = ["left", *["right"] * (len(lines[0]) - 1)]
    shown = tabulate(lines, tablefmt="plain", colalign=sides, disable_numparse=True, preserve_whitespace=True)
    rows = [line.rstrip() for line in shown.split("\n")]
    asked = table.rows[0].seeds
    seeds = f", n = {table.n}" + ("" if table.n == asked else f" of {asked}")
    seeds = "" if table.uneven or table.n == 0 else seeds
    text = [f"{one_line(legend.heading(board, table))}{seeds}", *rows]
    if left_out and not usual:
        text.append(f"not shown, too wide: {', '.join(left_out)}")
    text += [f"  ! {one_line(note.removeprefix('⚠ '))}" for note in table.notes if note.startswith(WARNING)]
    numbered = dict.fromkeys(k for row in table.rows for k in row.notes)
    text += [f"  - {one_line(table.notes[k - 1])}" for k in numbered if not table.notes[k - 1].startswith(WARNING)]
    return "\n".join(text)


def _name(row: Row) -> str:
    return ("!" if row.warned else "") + one_line(row.method) + legend.ROLES[row.role]


def _head(column: Column) -> tuple[str, str]:
    """Two lines: name; unit and direction."""
    name = {"fm.mean": "FM", "seconds": "time"}.get(column.measure.id, column.measure.label)
    return name, f"{column.unit.text.removesuffix('/image')} {column.arrow}"


def _cells(column: Column, cells: list[Cell]) -> list[str]:
    """One column of texts, points below points. Costs stand without their interval, for want of room."""
    numbers = [column.number(cell.summary) if cell.summary else None for cell in cells]
    ranked = column.measure.ranked
    width = max((len(n.half_width) for n in numbers if n and ranked), default=0)
    texts = []
    for cell, number in zip(cells, numbers, strict=True):
        if number is None:
            texts.append(cell.text)
            continue
        mark = ("!" if cell.warned else "") + {"best": "*", "tied": "=", "": ""}[cell.mark]
        texts.append(mark + (number.mean if not ranked else "".join(number.filled(width, " ", " "))))
    return texts


def _legend(board: Leaderboard) -> list[str]:
    lines = ["mean ± 95% interval over seeds; ↑ higher is better, ↓ lower; time is indicative; FM is fm.mean."]
    if any(table.marked("best") for table in board.tables):
        lines.append("* best between the bounds, = not distinguishable from it (paired t test, Holm).")
    if any(table.warned for table in board.tables):
        lines.append("! warning, see the line below its table.")
    return lines
