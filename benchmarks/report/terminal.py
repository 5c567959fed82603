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
    first = [("", ""), *([("", "seeds")] if table.uneven else [])]
    heads = [*first, *map(_head, table.columns)]
    texts = [head + cells for head, cells in zip(heads, zip(*table.texts(_name, _cell), strict=True), strict=True)]
    shown, left_out = texts[: len(first)], []
    for column, cells in zip(table.columns, texts[len(first) :], strict=True):
        if usual and column.measure.id not in wanted:
            continue
        if sum(max(map(len, other)) + 2 for other in shown) + max(map(len, cells)) > WIDTH:
            left_out.append(column.measure.label)
        else:
            shown.append(cells)
    sides, lines = ["left", *["right"] * (len(shown) - 1)], list(zip(*shown, strict=True))
    body = tabulate(lines, tablefmt="plain", colalign=sides, disable_numparse=True, preserve_whitespace=True)
    asked = table.rows[0].seeds
    seeds = f", n = {table.n}" + ("" if table.n == asked else f" of {asked}")
    seeds = "" if table.uneven or table.n == 0 else seeds
    text = [f"{one_line(legend.heading(board, table))}{seeds}", *(line.rstrip() for line in body.split("\n"))]
    if left_out and not usual:
        text.append(f"not shown, too wide: {', '.join(left_out)}")
    text += [f"  - {one_line(sentence)}" for sentence in table.left_out]
    text += [f"  ! {one_line(note.removeprefix('⚠ '))}" for note in table.notes if note.startswith(WARNING)]
    text += [f"  - {one_line(note)}" for note in _row_notes(table)]
    return "\n".join(text)


def _row_notes(table: Table) -> list[str]:
    """The notes of whole rows, warnings excepted, each with whose it is: no mark in a row refers to it here."""
    owners: dict[int, list[str]] = {}
    for row in table.rows:
        for k in row.notes:
            owners.setdefault(k, []).append(row.method)
    notes = {table.notes[k - 1]: methods for k, methods in owners.items()}
    return [
        note if note.startswith(f"{methods[0]}: ") else f"{', '.join(methods)}: {note}"
        for note, methods in notes.items()
        if not note.startswith(WARNING)
    ]


def _name(row: Row) -> str:
    return ("!" if row.warned else "") + one_line(row.method) + legend.ROLES[row.role]


def _head(column: Column) -> tuple[str, str]:
    """Two lines: name; unit and direction."""
    name = {"fm.mean": "FM", "seconds": "time"}.get(column.measure.id, column.measure.label)
    return name, f"{column.unit.text.removesuffix('/image')} {column.arrow}"


def _cell(cell: Cell, column: Column, width: int) -> str:
    """Points below points. Costs stand without their interval, for want of room."""
    if cell.summary is None:
        return cell.text
    number = column.number(cell.summary)
    mark = ("!" if cell.warned else "") + {"best": "*", "tied": "=", "": ""}[cell.mark]
    return mark + ("".join(number.filled(width, " ", " ")) if column.measure.ranked else number.mean)


def _legend(board: Leaderboard) -> list[str]:
    lines = ["mean ± 95% interval over seeds; ↑ higher is better, ↓ lower; time is indicative; FM is fm.mean."]
    if any(table.marked("best") for table in board.tables):
        lines.append("* best between the bounds, = not distinguishable from it (paired t test, Holm).")
    if any(table.warned for table in board.tables):
        lines.append("! warning, see the line below its table.")
    return lines
