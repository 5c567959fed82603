"""Texts of unknown origin, and terminals that cannot show every character."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from rich.table import Table

from benchmarks.plain_text import SafeConsole, one_line, printable, spreadsheet_text


def test_what_a_terminal_would_obey_is_written_out():
    assert printable("\x1b[2Jgone") == r"\x1b[2Jgone"
    assert printable("C1 \x9b31m, bell \x07, \x7f") == r"C1 \x9b31m, bell \x07, \x7f"
    assert printable("abc\u202edcba") == r"abc\u202edcba"
    assert printable("lone \ud800") == r"lone \ud800"
    assert one_line("a\tb\r\nc\x0bd\u2028e") == "a b c d e"


@pytest.mark.parametrize("text", ["", "plain", "ünï ± ↑\nnext\tcell", "数据", "\u00a0\u2007"])
def test_what_can_be_shown_is_left_as_it_is(text):
    assert printable(text) == text


def test_only_what_begins_like_a_formula_is_quoted():
    assert [spreadsheet_text(t) for t in ("=1", "+1", "-1", "@a", "\r=1")] == ["'=1", "'+1", "'-1", "'@a", "'=1"]
    assert [spreadsheet_text(t) for t in ("a=1", "", "er", "1-2")] == ["a=1", "", "er", "1-2"]


def test_a_console_prints_no_escape_bytes_of_others_also_in_tables():
    written = io.StringIO()
    console = SafeConsole(file=written, force_terminal=True, soft_wrap=True, highlight=False)
    console.print("failed: \x1b[31mred\x07", markup=False)
    table = Table("method")
    table.add_row("na\x1b]0;title\x07me")
    console.print(table)
    console.print("[bold]ours[/bold]")
    text = written.getvalue()
    assert r"\x1b[31mred\x07" in text
    assert "\x1b[31m" not in text
    assert "\x1b]0" not in text
    assert "\x1b[1mours" in text, "its own styles stay"


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
def test_an_ascii_terminal_shows_the_leaderboard_in_ascii(locale, tmp_path):
    words = [sys.executable, "-m", "benchmarks", "report", "digits", "--no-plots", "--results-dir", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, env=os.environ | locale)
    assert done.returncode == 0, done.stderr.decode("ascii")
    assert "mean +- 95% interval over seeds; ^ higher is better, v lower" in done.stdout.decode("ascii")
