"""What a command says: results on stdout, remarks and errors on stderr."""

from __future__ import annotations

from benchmarks.plain_text import SafeConsole

out = SafeConsole(soft_wrap=True, highlight=False, emoji=False)  # 1:m:s is no Ⓜ
err = SafeConsole(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def say(text: str) -> None:
    out.print(text, markup=False)


def warn(text: str) -> None:
    err.print(text, markup=False)


def say_on_terminal(text: str) -> None:
    """Progress, for who watches; never among what a program reads."""
    if err.is_terminal:
        warn(text)
