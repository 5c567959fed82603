"""The suites as HTML: the whole leaderboard, complete without a script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as escape_markup

from benchmarks.plain_text import printable
from benchmarks.report import legend
from benchmarks.report.markdown import DIGIT, NO_BREAK
from benchmarks.report.markdown import SYMBOLS as MARKDOWN_SYMBOLS
from benchmarks.report.measures import Measure
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.protocol import Protocol
from benchmarks.report.table import Cell, Column, Row, Table
from benchmarks.report.wording import note_mark

SYMBOLS = MARKDOWN_SYMBOLS.replace("`", "")


def escape(text: str) -> str:
    """Text as HTML."""
    return escape_markup(printable(text))


def contents(suites: list[PageSuite]) -> str:
    """Links to the suites, of use where no script offers a choice of them."""
    links = "".join(f'<li><a href="#s{k}">{escape(suite.board.title)}</a></li>' for k, suite in enumerate(suites))
    return f"<ul>{links}</ul>" if len(suites) > 1 else ""


def sections(suites: list[PageSuite]) -> str:
    """One section a suite; its number is in the identifiers of all that is in it."""
    if not suites:
        return "<p>No suite has records yet. Run one: <code>python -m benchmarks run digits</code></p>"
    return "\n".join(_suite(suite, f"s{k}") for k, suite in enumerate(suites))


def _suite(suite: PageSuite, id: str) -> str:
    board = suite.board
    parts = [f'<section class="suite" id="{id}" aria-labelledby="{id}h">']
    parts.append(f'<h2 id="{id}h">{escape(board.title)}</h2>')
    if board.about:
        parts.append(f"<p>{escape(' '.join(board.about.split()))}</p>")
    reading = legend.reading(board.tables, "Bold:", "†")
    parts.append(_details("How to read the tables", _items(map(escape, reading)), open=True))
    parts.append(_details("Protocol, as resolved in the records", _protocol(board.shared)))
    for k, (table, own) in enumerate(zip(board.tables, board.own, strict=True)):
        title = escape(legend.heading(board, table))
        parts.append(
            f'<section class="table" id="{id}t{k}" aria-labelledby="{id}t{k}h"><h3 id="{id}t{k}h">{title}</h3>'
        )
        parts.append(_protocol(own))
        parts.append(_table(table, legend.caption(table, (own | board.shared).get("seeds", ""))))
        if table.notes:
            marked = (f"<li>{_sup(note_mark(k))}{escape(note)}</li>" for k, note in enumerate(table.notes, 1))
            notes = "".join(marked)
            parts.append(f'<ul class="notes">{notes}</ul>')
        parts.append("</section>")
    columns = _items(map(_explanation, board.measures)) + f"<p>{escape(SYMBOLS)}</p>"
    parts.append(_details("Columns", columns))
    parts.append(_details("Methods and their hyperparameters, as resolved", _methods(suite)))
    parts.append("</section>")
    return "\n".join(part for part in parts if part)


def _details(summary: str, content: str, open: bool = False) -> str:
    return f"<details{' open' if open else ''}><summary>{escape(summary)}</summary>{content}</details>"


def _items(lines: Iterable[str]) -> str:
    """A list of lines that are HTML already."""
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"


def _protocol(lines: Protocol) -> str:
    return _items(f"{escape(subject)}: {escape(text)}" for subject, text in lines.items()) if lines else ""


def _explanation(measure: Measure) -> str:
    formula = f", <code>{escape(measure.formula)}</code>" if measure.formula else ""
    id = "" if measure.id in measure.label else f" (<code>{escape(measure.id)}</code>)"
    rest = escape(legend.direction_and_source(measure))
    return f"<b>{escape(measure.label)}</b>{id}: {escape(measure.name)}{formula}; {rest}"


def _methods(suite: PageSuite) -> str:
    lines = []
    for name, facts in suite.methods.items():
        texts = [text for text in (facts.about, facts.source, facts.text) if text]
        values = suite.board.hyperparameters.get(name)
        texts += [f"hyperparameters: {values}"] if values else []
        lines.append(f"<b>{escape(name)}</b>: {escape('; '.join(texts))}")
    return _items(lines)


def _table(table: Table, caption: str) -> str:
    heads = ['<th scope="col">method</th>']
    if table.uneven:
        heads.append('<th scope="col">seeds</th>')
    heads += map(_head, table.columns)
    rows = "\n".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for name, *cells in table.texts(_name, _cell)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.scenario)}"><table>'
        f"<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _head(column: Column) -> str:
    """data-factor: a raw value times it is what the column shows, in data-unit. What it means stands under Columns."""
    measure = column.measure
    unit = column.unit.text
    text = f"{escape(measure.label)}, {escape(unit)}{NO_BREAK}{column.arrow}"
    known = f'data-measure="{escape(measure.id)}" data-factor="{column.unit.factor:g}" data-unit="{escape(unit)}"'
    return f'<th scope="col" {known}>{text}</th>'


def _name(row: Row) -> str:
    marks = " ".join(["⚠"] * row.suspicious + [note_mark(k) for k in row.notes])
    return f"{escape(row.method)}{escape(legend.ROLES[row.role])}{_sup(marks)}"


def _cell(cell: Cell, column: Column, width: int) -> str:
    """Marks, then the number: the same digits as in markdown, last in its cell, where the script looks for it."""
    before = [*(["⚠"] if cell.suspicious else []), *map(note_mark, cell.notes), *(["†"] if cell.mark == "tied" else [])]
    marks = _sup(" ".join(before))
    if cell.summary is None:
        return marks + escape(cell.text)
    text = "".join(column.number(cell.summary).filled(width, NO_BREAK, DIGIT))
    return f"{marks}<b>{text}</b>" if cell.mark == "best" else marks + text


def _sup(marks: str) -> str:
    return f"<sup>{marks}</sup>" if marks else ""
