"""The leaderboard as GitHub markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from tabulate import tabulate

from benchmarks.plain_text import one_line
from benchmarks.records.columns import Measure
from benchmarks.report import legend
from benchmarks.report.leaderboard import Leaderboard
from benchmarks.report.legend import MARKS, note_mark
from benchmarks.report.protocol import Protocol
from benchmarks.report.table import Cell, Column, Row, Table

# Cells must not break between a mean and its interval, and digits should stand below digits in a proportional font.
NO_BREAK, DIGIT = "\u00a0", "\u2007"
SYMBOLS = (
    "`R[i][j]` is the accuracy on task j of T after training i tasks, row 0 the untrained model; `J` the same of the joint "
    "method. Units: % percent of test images, pp percentage points, FLOP floating point operations, B bytes; k, M, G and T "
    "are 10³, 10⁶, 10⁹ and 10¹²."
)
SUPERSCRIPTS = str.maketrans(MARKS, "ᵃᵇᶜᵈᵉᶠᵍʰʲᵏᵐⁿᵖʳˢᵗᵘᵛʷˣʸᶻ")


def markdown(board: Leaderboard) -> str:
    """The whole document, ending in a newline."""
    parts = [f"# {escape(board.title)}", escape(" ".join(board.about.split()))]
    parts.append("**Protocol**, as resolved in the records; what differs between tables stands above each:")
    parts += [protocol_list(board.shared), "**Reading the tables**", reading_list(board.tables)]
    for table, protocol in zip(board.tables, board.protocols, strict=True):
        parts += [f"## {escape(legend.heading(board, table))}", protocol_list(protocol)]
        parts += [caption(board, table, protocol), pipes(table), note_list(table)]
    parts += ["## Columns", column_list(board), SYMBOLS]
    if board.hyperparameters:
        parts += ["## Hyperparameters, as resolved", protocol_list(board.hyperparameters)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text that GitHub shows as it is: nothing in it is emphasis, a tag, a link, a formula or the end of a cell."""
    text = re.sub(r"[\\`*<>|\[\]$~#]", lambda found: "\\" + found.group(), one_line(text))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)


def pipe_table(rows: Sequence[Sequence[object]], heads: Sequence[str], *align: str) -> str:
    """A table of texts that are markdown already. align: of each column; by default as it comes, to the left."""
    return tabulate(
        rows, heads, tablefmt="pipe", colalign=align or None, disable_numparse=True, preserve_whitespace=bool(align)
    )


def bullets(lines: Iterable[str]) -> str:
    """A list of lines that are markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def protocol_list(lines: Protocol) -> str:
    return bullets(f"{escape(subject)}: {escape(text)}" for subject, text in lines.items())


def reading_list(tables: Sequence[Table]) -> str:
    return bullets(legend.reading(tables, "**bold**:", "†"))


def caption(board: Leaderboard, table: Table, protocol: Protocol) -> str:
    return escape(legend.caption(table, (protocol | board.shared).get("seeds", "")))


def note_list(table: Table) -> str:
    return bullets(f"{superscript((k,))} {escape(text)}" for k, text in enumerate(table.notes, 1))


def column_list(board: Leaderboard) -> str:
    return bullets(map(_explanation, board.measures))


def pipes(table: Table, link: Callable[[Row], str] | None = None) -> str:
    """The table itself; `link`: where a row's name leads."""
    heads = ["method", *(["seeds"] if table.uneven else []), *(_head(column) for column in table.columns)]
    return pipe_table(table.texts(lambda row: _name(row, link), _cell), heads, "left", *["right"] * (len(heads) - 1))


def _head(column: Column) -> str:
    return f"{escape(column.measure.label)}, {column.unit.text}{NO_BREAK}{column.arrow}"


def _name(row: Row, link: Callable[[Row], str] | None) -> str:
    name = f"[{escape(row.method)}]({link(row)})" if link else escape(row.method)
    return _marked((("⚠ " if row.warned else "") + name + legend.ROLES[row.role]).replace(" ", NO_BREAK), row.notes)


def _cell(cell: Cell, column: Column, width: int) -> str:
    if cell.summary is None:
        return _marked(cell.text.replace(" ", NO_BREAK), cell.notes)
    text, after = column.number(cell.summary).filled(width, NO_BREAK, DIGIT)
    if cell.mark == "best":
        text = f"**{text}**"
    before = ("⚠" if cell.warned else "") + superscript(cell.notes) + ("†" if cell.mark == "tied" else "")
    return before + (NO_BREAK if before else "") + text + after


def _marked(text: str, notes: tuple[int, ...]) -> str:
    return f"{text}{NO_BREAK}{superscript(notes)}" if notes else text


def superscript(notes: tuple[int, ...]) -> str:
    """The marks of notes as raised letters."""
    return NO_BREAK.join(map(note_mark, notes)).translate(SUPERSCRIPTS)


def _explanation(measure: Measure) -> str:
    formula = f", `{measure.formula}`" if measure.formula else ""
    rest = escape(legend.direction_and_source(measure))
    id = "" if measure.id in measure.label else f" (`{measure.id}`)"
    return f"{escape(measure.label)}{id}: {escape(measure.name)}{formula}; {rest}"
