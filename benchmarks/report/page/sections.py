"""The suites as HTML: the whole leaderboard, complete without a script, from the same markdown as its own page."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Sequence
from functools import cache

from markdown_it import MarkdownIt

from benchmarks.plain_text import printable
from benchmarks.records.results import Runs
from benchmarks.report import legend
from benchmarks.report import markdown as md
from benchmarks.report.markdown import escape
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.table import Row, Table

WORD_JOINER = "\u2060"
"""A character without width that is no blank."""


def escape_html(text: str) -> str:
    """Text as HTML."""
    return markup.escape(printable(text))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def html(text: str) -> str:
    """Markdown as HTML; a tag in it is text."""
    return str(_parser().render(text)).strip()


def contents(suites: Sequence[PageSuite]) -> str:
    """Links to the suites, of use where no script offers a choice of them."""
    links = "".join(f'<li><a href="#s{k}">{escape_html(suite.board.title)}</a></li>' for k, suite in enumerate(suites))
    return f"<ul>{links}</ul>" if len(suites) > 1 else ""


def sections(suites: Sequence[PageSuite]) -> str:
    """One section a suite; its number is in the identifiers of all that is in it."""
    if not suites:
        return "<p>No suite has records yet. Run one: <code>python -m benchmarks run digits</code></p>"
    return "\n".join(_suite(suite, f"s{k}") for k, suite in enumerate(suites))


def _suite(suite: PageSuite, id: str) -> str:
    board = suite.board
    about = html(escape(" ".join(board.about.split())))
    parts = [f'<section class="suite" id="{id}"><h2>{escape_html(board.title)}</h2>{about}']
    parts.append(_folded("How to read the tables", md.reading_list(board.tables)))
    tables = zip(board.tables, suite.runs, board.protocols, strict=True)
    for k, (table, runs, protocol) in enumerate(tables):
        name = f"{id}t{k}"
        first, *others = [*map(_figure, suite.plots.get(table.scenario, [])), ""]
        parts.append(f'<section class="table" id="{name}"><h3>{escape_html(legend.heading(board, table))}</h3>')
        parts.append(html(md.caption(board, table, protocol)))
        parts.append(f'<div class="beside"><div class="scroll" tabindex="0">{_table(table, name)}</div>{first}</div>')
        parts.append(f'<div class="notes">{html(md.note_list(table))}</div>')
        if any(others):
            plots = "".join(others)
            parts.append(f'<details><summary>More plots</summary><div class="plots">{plots}</div></details>')
        items = "".join(_item(suite, row, runs, f"{name}r{n}") for n, row in enumerate(table.rows))
        parts.append(f"<details><summary>Records behind the numbers, and commands</summary><ul>{items}</ul></details>")
        parts += [_folded("Protocol of this table alone", md.protocol_list(protocol)), "</section>"]
    parts.append(_folded("Columns", f"{md.column_list(board)}\n\n{md.SYMBOLS}"))
    parts.append(_folded("Protocol, as resolved in the records", md.protocol_list(board.shared)))
    parts.append(_folded("Methods and their hyperparameters, as resolved", _methods(suite)))
    return "\n".join([*parts, "</section>"])


def _folded(summary: str, text: str) -> str:
    """Markdown behind a click; nothing where there is none."""
    return f"<details><summary>{escape_html(summary)}</summary>{html(text)}</details>" if text else ""


def _table(table: Table, id: str) -> str:
    """A row's name leads to its item among the records."""
    places = {row.method: k for k, row in enumerate(table.rows)}
    text = md.pipes(table, lambda row: f"#{id}r{places[row.method]}")
    # the blanks that hold the place of an interval would be stripped at a cell's end, and digits not stand below digits
    return html(re.sub(f"(?<=[{md.NO_BREAK}{md.DIGIT}]) [|]", f"{WORD_JOINER} |", text))


def _figure(plot: tuple[str, str]) -> str:
    """Reads itself from a file beside the page; a click shows it alone."""
    title, path = map(escape, plot)
    return f'<figure><a href="{path}"><img src="{path}" loading="lazy" alt="{title}"></a></figure>'


def _item(suite: PageSuite, row: Row, runs: Runs, id: str) -> str:
    """Of a row of the table: its records, by seed, and its command."""
    records = runs.records[row.method]
    places = {seed: suite.records.get(record.identity) for seed, record in records.items()}
    links = [f'<a href="{escape_html(place)}">{seed}</a>' if place else str(seed) for seed, place in places.items()]
    seeds = f"seed{'s' * (len(links) > 1)} {', '.join(links)}" if links else "no record"
    command = escape_html(suite.command(runs.scenario, row.method, records or runs.seeds))
    run = f"; <code>{command}</code>" if row.possible and row.method not in runs.scored else ""
    return f'<li id="{id}"><b>{escape_html(row.method)}</b>: {seeds}{run}</li>'


def _methods(suite: PageSuite) -> str:
    lines = []
    for name, facts in suite.methods.items():
        values = suite.board.hyperparameters.get(name)
        texts = [facts.about, facts.source, facts.text, f"hyperparameters: {values}" if values else ""]
        lines.append(f"**{escape(name)}**: {escape('; '.join(filter(None, texts)))}")
    return md.bullets(lines)
