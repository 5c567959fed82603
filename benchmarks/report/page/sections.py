"""The suites as HTML: the whole leaderboard, complete without a script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as escape_markup

from benchmarks.plain_text import printable
from benchmarks.records.results import Runs
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
    parts = [f'<section class="suite" id="{id}" aria-labelledby="{id}h">', f'<h2 id="{id}h">{escape(board.title)}</h2>']
    if board.about:
        parts.append(f"<p>{escape(' '.join(board.about.split()))}</p>")
    parts.append(_details("How to read the tables", _items(map(escape, legend.reading(board.tables, "Bold:", "†")))))
    for k, (table, runs, own) in enumerate(zip(board.tables, suite.runs, board.own, strict=True)):
        name = f"{id}t{k}"
        title = escape(legend.heading(board, table))
        parts.append(f'<section class="table" id="{name}" aria-labelledby="{name}h"><h3 id="{name}h">{title}</h3>')
        first, *others = [*map(_figure, suite.plots.get(table.scenario, [])), ""]
        shown = _table(table, legend.caption(table, (own | board.shared).get("seeds", "")), name)
        parts.append(f'<div class="beside">{shown}{first}</div>')
        if table.notes:
            marked = (f"<li>{_sup(note_mark(k))}{escape(note)}</li>" for k, note in enumerate(table.notes, 1))
            parts.append(f'<ul class="notes">{"".join(marked)}</ul>')
        if any(others):
            parts.append(_details("More plots", f'<div class="plots">{"".join(others)}</div>'))
        parts.append(_details("Records behind the numbers, and commands", _records(suite, table, runs, name)))
        if own:
            parts.append(_details("Protocol of this table alone", _protocol(own)))
        parts.append("</section>")
    parts.append(_details("Columns", _items(map(_explanation, board.measures)) + f"<p>{escape(SYMBOLS)}</p>"))
    parts.append(_details("Protocol, as resolved in the records", _protocol(board.shared)))
    parts.append(_details("Methods and their hyperparameters, as resolved", _methods(suite)))
    return "\n".join([*parts, "</section>"])


def _figure(plot: tuple[str, str]) -> str:
    """Reads itself from a file beside the page; a click shows it alone."""
    title, path = map(escape, plot)
    return (
        f'<figure><a href="{path}"><img src="{path}" loading="lazy" alt="{title}"></a>'
        f"<figcaption>{title}</figcaption></figure>"
    )


def _records(suite: PageSuite, table: Table, runs: Runs, id: str) -> str:
    """An item a row of the table, which the row's name leads to: its records, by seed, and its command."""
    lines = []
    for k, row in enumerate(table.rows):
        records = runs.records[row.method]
        links = [_link(suite.records.get(record.identity), seed) for seed, record in records.items()]
        seeds = f"seed{'s' * (len(links) > 1)} {', '.join(links)}" if links else "no record"
        command = escape(suite.command(runs.scenario, row.method, records or runs.seeds))
        run = f"; <code>{command}</code>" if row.possible else ""
        lines.append(f'<li id="{id}r{k}"><b>{escape(row.method)}</b>: {seeds}{run}</li>')
    return f"<ul>{''.join(lines)}</ul>"


def _link(path: str | None, seed: int) -> str:
    return f'<a href="{escape(path)}">{seed}</a>' if path else str(seed)


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _items(lines: Iterable[str]) -> str:
    """A list of lines that are HTML already."""
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"


def _protocol(lines: Protocol) -> str:
    return _items(f"{escape(subject)}: {escape(text)}" for subject, text in lines.items())


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


def _table(table: Table, caption: str, id: str) -> str:
    heads = ['<th scope="col">method</th>', *(['<th scope="col">seeds</th>'] if table.uneven else [])]
    heads += map(_head, table.columns)
    rows = "\n".join(
        f'<tr><th scope="row"><a href="#{id}r{k}">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for k, (name, *cells) in enumerate(table.texts(_name, _cell))
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.scenario)}"><table>'
        f"<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _head(column: Column) -> str:
    """data-unit: of the numbers below. What they mean stands under Columns."""
    known = f'data-measure="{escape(column.measure.id)}" data-unit="{escape(column.unit.text)}"'
    text = f"{escape(column.measure.label)}, {escape(column.unit.text)}{NO_BREAK}{column.arrow}"
    return f'<th scope="col" {known}>{text}</th>'


def _name(row: Row) -> str:
    """Closes the link that leads to the row's records."""
    marks = " ".join(["⚠"] * row.suspicious + [note_mark(k) for k in row.notes])
    return f"{escape(row.method)}</a>{escape(legend.ROLES[row.role])}{_sup(marks)}"


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
