"""Text of unknown origin (names, titles, errors) made safe to show: on terminals, on pages, in spreadsheets."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

from rich.console import Console
from rich.text import Text

# Turn the direction of what follows: a name could pass for another. Other format characters (as in emoji) are let be.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORMULA = tuple("=+-@\t\r")
_ASCII = {"±": "+-", "×": "x", "↑": "^", "↓": "v", "→": "->", "–": "-", "−": "-", "…": "...", "≈": "~", "≤": "<="}
_ASCII |= {
    "≥": ">=",
    "⚠": "!",
    "✗": "x",
    "†": "+",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "\u00a0": " ",
    "\u2007": " ",
}


def printable(text: str) -> str:
    """`text` with control characters and those that turn its direction written out, as \\x1b; line breaks and tabs stay.

    A terminal would obey them: recolour, overwrite what stands there, set its title.
    """
    if text.isprintable():
        return text
    return "".join(_written_out(c) if _acts(c) else c for c in text)


def one_line(text: str) -> str:
    """`printable` text in which all white space is single spaces."""
    return printable(" ".join(text.split()))


def spreadsheet_text(text: str) -> str:
    """`text` for a cell of a csv file: `one_line`, and never read as a formula by a spreadsheet, for which OWASP advises
    an apostrophe before the characters that begin one ("CSV Injection")."""
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line


def print_what_can_be_printed() -> None:
    """From here on, a character that stdout or stderr cannot encode is written in ASCII, or as ?, and is no error."""
    codecs.register_error("retain-ascii", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="retain-ascii")


class SafeConsole(Console):
    """A console on which all plain text is `printable`; styles, links and progress bars are as ever."""

    def render_str(self, text: str, **settings) -> Text:
        return super().render_str(printable(text), **settings)


def _acts(character: str) -> bool:
    category = unicodedata.category(character)
    return character not in "\n\t" and (category in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(c, "?") for c in error.object[error.start : error.end]), error.end
