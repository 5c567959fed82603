"""The ledger as GitHub markdown: results/published/reproduction.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.ledger.compare import CLOSE, WIDE, Entry, Ours, Row, Verdict, compare, entries_of, unmatched
from benchmarks.ledger.order import order_entries, order_section
from benchmarks.ledger.published import CONFIDENCE, Note, Published, Reference
from benchmarks.records.atomic_write import write_whole
from benchmarks.records.circumstances import circumstances
from benchmarks.records.matching import records_of
from benchmarks.report.markdown import NO_BREAK, escape, pipe_table, superscript
from benchmarks.report.table import Notes
from metrics import SCORES

FILE = "reproduction.md"
NOT_EXAMINED = "not examined yet"

HOW_TO_READ = f"""\
- *agrees*: ours − published lies within its 95% interval (Welch's t, both standard errors counted; where the source prints no spread, ours alone), or within {CLOSE:g} points. Behind the verdict stands which of the two holds; *wide*: the interval is wider than ±{WIDE:g} points, which says little.
- *differs*: neither holds, or seeds of ours diverged; what is known of each such row stands below its table, and what it took where rows agree only since. *not run*: no records of ours, with the reason. No row is left out.
- Published: mean ± spread as printed (its kind, number of runs), or as others copied it where the protocol's section says so. Ours: mean ± half width of the 95% interval (seeds). All in percent, differences in points."""


def write_ledger(
    results: Path, published: bool = False, say: Callable[[str], object] = lambda problem: None
) -> tuple[Path, list[Row]]:
    """Writes the ledger of the committed records into `results`/published, or of your own runs into
    `results`/leaderboards. Returns its path and every row. Raises SettingsError as `entries_of`."""
    entries = entries_of(results, published, say)
    text = ledger(entries, order_entries(results, published, say))
    path = write_whole(results / ("published" if published else "leaderboards") / FILE, text)
    return path, [row for entry in entries for row in compare(entry)]


def ledger(entries: Sequence[Entry], orders: Sequence[Entry] = ()) -> str:
    """The whole page, ending in a newline: the same for the same records, suites and references. orders: reduced suites,
    of which only the order of methods is compared."""
    compared = [(entry, compare(entry)) for entry in entries]
    with_values = [(entry, rows) for entry, rows in compared if rows]
    every_row = [row for _, rows in with_values for row in rows]
    parts = [
        "# Do our numbers agree with the published ones?",
        "Made from run records by `python -m benchmarks reproduce --render-only`, never edited by hand.",
        f"**{summary(every_row)}**",
        _totals(with_values),
        HOW_TO_READ,
    ]
    for entry, rows in compared:
        parts += _section(entry, rows)
    parts += order_section(orders)
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """One line: cells compared, agreeing, differing, and the share; what weakens it."""
    if not rows:
        return "No published values to compare with."
    counts = Counter(row.verdict for row in rows)
    compared = counts["agrees"] + counts["differs"]
    share = f" ({_share(counts)})" if compared else ""
    text = (
        f"{len(rows)} published cells: {compared} compared, {counts['agrees']} agree{share}, "
        f"{counts['differs']} differ, {counts['not run']} not run."
    )
    if weak := sum(row.weak for row in rows):
        text += f" {weak} of those that agree do so only within an interval wider than ±{WIDE:g} points."
    copied = sum(row.verdict != "not run" and row.published.confidence == "secondary1" for row in rows)
    if copied:
        number = "all" if copied == compared else copied
        text += f" Of the published values compared {number} are as others copied them, unchecked."
    return text


def _share(counts: Counter[Verdict]) -> str:
    compared = counts["agrees"] + counts["differs"]
    return f"{100 * counts['agrees'] / compared:.1f}%" if compared else "–"


def _totals(with_values: Sequence[tuple[Entry, list[Row]]]) -> str:
    lines = []
    for entry, rows in with_values:
        counts = Counter(row.verdict for row in rows)
        compared = counts["agrees"] + counts["differs"]
        link = f"[{entry.name}](#{entry.name})"
        lines.append(
            [link, len(rows), compared, counts["agrees"], counts["differs"], counts["not run"], _share(counts)]
        )
    heads = ["protocol", "published cells", "compared", "agree", "differ", "not run", "share that agrees"]
    return _pipe(lines, heads, "left") if lines else ""


def _section(entry: Entry, rows: list[Row]) -> list[str]:
    suite, has_records = entry.grid.suite, bool(records_of(entry.grid, entry.scan))
    parts = [f"## {suite.name}", escape(suite.title) + (f". {escape(suite.about)}" if suite.about else "")]
    files = f"Specified by {escape(suite.source)}. Settings: [suite](../../benchmarks/suites/{suite.name}.yaml)"
    if has_records:
        files += f"; all scores and costs: [tables]({entry.tables}/{suite.name}.md), [records]({entry.records})"
    parts.append(files + ".")
    if suite.choices:
        parts.append("What the source leaves open, and our choice:")
        parts.append("\n".join(f"- {escape(choice)}" for choice in suite.choices))
    parts.append(_circumstances(entry) if has_records else "")
    if entry.reference and rows and not has_records:
        parts += _waiting(rows, entry.reference)
    elif entry.reference and rows:
        parts.append(f"**{summary(rows)}** {_scores(entry.reference)}")
        parts += _comparison(rows, entry.reference)
        others = [ours for ours in unmatched(entry) if ours.summary or ours.broken]
        if others:
            parts += ["### Ours, without a published value", _scored("acc"), *_own_table(others)]
    elif not has_records:
        parts.append("No published values to compare with, and no records yet.")
    else:
        parts.append(f"**No published values to compare with yet: ours alone.** {_scored('acc')}")
        parts += _own_table(unmatched(entry))
    return parts


def _waiting(rows: Sequence[Row], reference: Reference) -> list[str]:
    """Of a protocol without records of ours: how many values are published of each scenario, and why none is compared."""
    lines, reasons = [], Counter(row.why for row in rows)
    for scenario in dict.fromkeys(reference.scenarios.values()):
        own = [row for row in rows if reference.scenarios[row.published.scenario] == scenario]
        answered = sum(row.published.method in reference.methods for row in own)
        lines.append([escape(scenario), len(own), answered, len(own) - answered])
    heads = ["scenario", "published cells", "of methods that we have", "of others"]
    why = [f"- {escape(reason)}: {n}" for reason, n in reasons.most_common()]
    return [
        f"**{summary(rows)}** All of them, with their sources: "
        f"[table](../../benchmarks/ledger/references/{reference.protocol}.csv).",
        _pipe(lines, heads, "left"),
        "\n".join(["<details><summary>Why they are not run</summary>", "", *why, "", "</details>"]),
    ]


def _scores(reference: Reference) -> str:
    return " ".join(f"The source's {escape(theirs)} is ours: {_scored(id)}" for theirs, id in reference.scores.items())


def _scored(id: str) -> str:
    return f"`{id}`, `{SCORES[id].formula}`."


def _circumstances(entry: Entry) -> str:
    """Where and with what the records were made, as the suite's own tables say it."""
    said = circumstances(records_of(entry.grid, entry.scan))
    lines = [f"{subject} {escape(said[subject])}" for subject in ("hardware", "device", "commit", "versions")]
    return f"Records: {'; '.join(lines)}."


def _comparison(rows: Sequence[Row], reference: Reference) -> list[str]:
    """Where the published values are from, the table, its notes, and what is known of rows that differ or once did."""
    provenance = [_provenance(row.published) for row in rows]
    shared = [text for text in provenance[0] if all(text in texts for texts in provenance)]
    notes, lines = Notes(), []
    for row, texts in zip(rows, provenance):
        scenario = row.ours.scenario if row.ours else reference.scenarios[row.published.scenario]
        name = escape(row.published.method) + (f" → {escape(row.ours.method)}" if row.ours else "")
        raised = [notes.number(text) for text in texts if text not in shared]
        lines.append(
            [
                escape(scenario),
                name.replace(" ", NO_BREAK),
                _raised(_published(row.published), raised),
                _ours(row.ours, notes),
                _std(row.ours),
                _difference(row),
                _verdict(row, notes),
            ]
        )
    heads = ["scenario", "published → our method", "published", "ours", "our std", "ours − published", "verdict"]
    table = _pipe(lines, heads, "left", "left", last="left")
    parts = [f"Published values: {escape('; '.join(shared))}." if shared else "", table, _numbered(notes)]
    differing = [row for row in rows if row.verdict == "differs"]
    if differing:
        parts += ["### What differs", _explanations(differing, reference)]
    # why a protocol is read as it is must be seen also where that made its rows agree
    settled = [row for row in rows if row.verdict == "agrees" and reference.note(row.published)]
    if settled:
        parts += ["### What it took to agree", _explanations(settled, reference)]
    return parts


def _provenance(row: Published) -> list[str]:
    """Where a value is from, how sure the transcription is, and what else is known of it."""
    notes = [note.strip() for note in row.note.split(";") if note.strip()]
    return [row.source, f"{CONFIDENCE[row.confidence]} ({row.confidence})", *notes]


def _published(row: Published) -> str:
    """The value as printed."""
    spread = f"± {row.spread:.2f} ({row.spread_kind}, " if row.spread is not None else "(no spread, "
    return f"{row.mean:.2f} {spread}{row.n or 'n not said'})"


def _raised(text: str, numbers: Sequence[int]) -> str:
    """`text` that does not break, with note numbers behind it."""
    return f"{text} {superscript(tuple(numbers))}".strip().replace(" ", NO_BREAK)


def _ours(ours: Ours | None, notes: Notes) -> str:
    if ours is None or not (ours.summary or ours.broken):
        return "–"
    text = "–"
    if ours.summary:
        interval = f" ± {ours.summary.half_width:.2f}" if ours.summary.n > 1 else ""
        text = f"{ours.summary.mean:.2f}{interval} ({ours.summary.n})"
    return _raised(text, [notes.number(f"{ours.scenario} {ours.method}: {remark}") for remark in ours.remarks])


def _std(ours: Ours | None) -> str:
    return f"{ours.summary.std:.2f}" if ours and ours.summary and ours.summary.n > 1 else "–"


def _difference(row: Row) -> str:
    if row.difference is None:
        return "–"
    return f"{_signed(row.difference.mean)} ± {row.difference.half_width:.2f}".replace(" ", NO_BREAK)


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def _verdict(row: Row, notes: Notes) -> str:
    if row.verdict == "not run":
        return _raised("not run", [notes.number(row.why)])
    if row.verdict == "differs":
        return "**differs**" + (f": {escape(row.why)}" if row.why else "")
    return f"agrees: {'wide ' if row.weak else ''}{row.why}".replace(" ", NO_BREAK)


def _explanations(rows: Sequence[Row], reference: Reference) -> str:
    """An entry a note, with all rows that it explains; one more for the rows without."""
    groups: dict[Note | None, list[str]] = {}
    for row in rows:
        assert row.ours is not None  # what no method of ours answers is not run, never different
        size = f"{_signed(row.difference.mean)} points" if row.difference else row.why
        name = f"**{escape(row.ours.scenario)} {escape(row.published.method)}** ({size})"
        groups.setdefault(reference.note(row.published), []).append(name)
    return "\n".join(
        f"- {', '.join(names)}: "
        + (f"*{n.cause}*. {escape(n.text)} Evidence: {escape(n.evidence)}" if n else f"*{NOT_EXAMINED}*.")
        for n, names in groups.items()
    )


def _own_table(cells: Sequence[Ours]) -> list[str]:
    """Ours alone: the spread over seeds is shown in three ways, for some methods it is the finding."""
    notes, lines = Notes(), []
    for ours in cells:
        span = f"{ours.low:.2f} – {ours.high:.2f}".replace(" ", NO_BREAK) if ours.summary else "–"
        lines.append([escape(ours.scenario), escape(ours.method), _ours(ours, notes), _std(ours), span])
    heads = ["scenario", "method", "ours", "std", "min – max over seeds"]
    return [_pipe(lines, heads, "left", "left"), _numbered(notes)]


def _numbered(notes: Notes) -> str:
    return "\n".join(f"- {superscript((k,))} {escape(text)}" for k, text in enumerate(notes.texts, 1))


def _pipe(lines: list[list], heads: list[str], *left: str, last: str = "right") -> str:
    return pipe_table(lines, heads, *left, *["right"] * (len(heads) - len(left) - 1), last)
