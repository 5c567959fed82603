"""The leaderboard as LaTeX tables with booktabs rules."""

from __future__ import annotations

from benchmarks.plain_text import one_line
from benchmarks.report import legend
from benchmarks.report.leaderboard import Leaderboard
from benchmarks.report.legend import note_mark
from benchmarks.report.table import Cell, Column, Row, Table

_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$\dagger$",
    "⚠": r"\textbf{!}",
    "–": "--",
    "…": r"\dots{}",
}
_ESCAPES = str.maketrans(_SPECIAL)


def latex(board: Leaderboard) -> str:
    """A file to \\input: one table environment a scenario. Needs the packages booktabs and graphicx."""
    parts = [f"% {one_line(board.title)}: needs \\usepackage{{booktabs,graphicx}}"]
    for table, protocol in zip(board.tables, board.protocols, strict=True):
        parts.append(_environment(board, table, (protocol | board.shared).get("seeds", "")))
    parts.append("\n".join(f"% {m.label}: {m.name}{m.formula and ', ' + m.formula}" for m in board.measures))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; a character that pdflatex's fonts may lack is a question mark."""
    known = "".join(c if c in _SPECIAL or ord(c) < 0x250 else "?" for c in one_line(text))
    return known.translate(_ESCAPES)


def _environment(board: Leaderboard, table: Table, seeds: str) -> str:
    first = ["method", *(["seeds"] if table.uneven else [])]
    names = [*first, *(escape(column.measure.label) for column in table.columns)]
    units = [*("" for _ in first), *(escape(f"{column.unit.text} {column.arrow}") for column in table.columns)]
    rows = map(_line, table.texts(_name, _cell))
    # A rule where the bounds end.
    body = [
        line
        for above, row, line in zip([None, *table.rows], table.rows, rows)
        for line in ([r"\midrule", line] if above and above.role != row.role else [line])
    ]
    reading = [escape(line) for line in legend.reading([table], "Bold:", "†")]
    notes = [f"{_raised((k,))} {escape(note)}" for k, note in enumerate(table.notes, 1)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(legend.heading(board, table) + '. ' + legend.caption(table, seeds))}}}",
            rf"\label{{tab:{board.name}:{table.scenario.replace('/', ':')}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * (len(names) - 1)}}}",
            r"\toprule",
            _line(names),
            _line(units),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"",
            r"\medskip",
            r"\begin{minipage}{\linewidth}\footnotesize\raggedright",
            *(line + r"\par" for line in [*reading, *notes]),
            r"\end{minipage}",
            r"\end{table}",
        ]
    )


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _name(row: Row) -> str:
    return ("\\textbf{!} " if row.warned else "") + escape(row.method) + legend.ROLES[row.role] + _thin(row.notes)


def _raised(notes: tuple[int, ...]) -> str:
    return rf"\textsuperscript{{{','.join(map(note_mark, notes))}}}" if notes else ""


def _thin(notes: tuple[int, ...]) -> str:
    """Behind a text, of which the mark must not seem a part."""
    return rf"\,{_raised(notes)}" if notes else ""


def _cell(cell: Cell, column: Column, width: int) -> str:
    """A number in maths, its half width filled up to `width` digits so that the signs stand below each other."""
    if cell.summary is None:
        return escape(cell.text) + _thin(cell.notes)
    number = column.number(cell.summary)
    bold = (lambda text: rf"\mathbf{{{text}}}") if cell.mark == "best" else (lambda text: text)
    text = bold(number.mean) if number.mean != "NaN" else r"\mathrm{NaN}"
    fill = width - len(number.half_width)
    if number.half_width:
        filled = rf"\phantom{{{'0' * fill}}}" if fill else ""
        text += rf" \pm {filled}{bold(number.half_width)}"
    elif width:
        text += rf"\phantom{{{{}} \pm {'0' * width}}}"
    before = (escape("⚠") if cell.warned else "") + _raised(cell.notes) + (escape("†") if cell.mark == "tied" else "")
    return f"{before} ${text}$" if before else f"${text}$"
