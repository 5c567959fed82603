"""The sentences around the tables, the same in markdown, LaTeX and on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.records.columns import Measure
from benchmarks.report.leaderboard import SMOKE, Leaderboard
from benchmarks.report.table import Table

ROLES = {"upper bound": " (upper)", "lower bound": " (lower)", "method": ""}
"""What stands behind a method's name."""
MARKS = "abcdefghjkmnprstuvwxyz"
"""Letters for notes, without those that look like a digit when raised (i, l, o) and q, which has no raised form."""


def heading(board: Leaderboard, table: Table) -> str:
    """The scenario, its setting and, of a smoke test, that it is one."""
    return f"{table.scenario}: {table.setting}-incremental" + (f" ({SMOKE})" if board.smoke else "")


def caption(table: Table, seeds: str) -> str:
    """How many seeds stand behind each number, and which methods the suite leaves out."""
    return " ".join([_seeds_behind(table, seeds), *table.left_out])


def _seeds_behind(table: Table, seeds: str) -> str:
    asked = table.rows[0].seeds
    if table.n == 0:
        return f"No run has succeeded yet ({asked} seeds asked for)."
    if table.uneven:
        return f"Seeds asked for: {asked} ({seeds}); not every row has them all, see column seeds."
    of = "" if table.n == asked else f" of {asked} asked for"
    single = ": no interval, and nothing is ranked" if table.n == 1 else ""
    return f"n = {table.n} seed{'s' if table.n > 1 else ''}{of} in every row{single}."


def reading(tables: Sequence[Table], best: str, tied: str) -> list[str]:
    """How to read the numbers and marks of `tables`; `best` and `tied` say what those marks look like."""
    lines = ["Mean ± half width of the 95% interval (Student t) over seeds. ↑ higher is better, ↓ lower is better."]
    if any(table.marked("best") for table in tables):
        lines.append(f"{best} best of the ranked methods. Costs are not ranked.")
    if any(table.marked("tied") for table in tables):
        lines.append(
            f"{tied} not distinguishable from the best (paired t test over seeds, Holm-corrected over all methods of "
            "the table, bounds included, 5% level; whether intervals overlap plays no part). With few seeds that says little of equality."
        )
    if any(row.role != "method" for table in tables for row in table.rows):
        lines.append("(upper), (lower): upper and lower bound, for comparison; not ranked.")
    if any(table.warned for table in tables):
        lines.append("⚠ warning: read the note before the number.")
    if any(column.measure.id.startswith(("bwt", "fm")) for table in tables for column in table.columns):
        lines.append("BWT and FM say little without ACC: who learns nothing forgets nothing.")
    return lines


def direction_and_source(measure: Measure) -> str:
    return f"{measure.direction} is better" + (f"; {measure.source}" if measure.source else "")


def note_mark(number: int) -> str:
    """The mark of a note, numbered from 1: a, b, ... z, aa, ab, ... A digit beside a number would read as part of it."""
    mark = ""
    while number:
        number, k = divmod(number - 1, len(MARKS))
        mark = MARKS[k] + mark
    return mark
