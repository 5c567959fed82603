"""Small pieces of text that several views need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def ranges(values: Iterable[int]) -> str:
    """Whole numbers in short: 0, 1, 2, 5 reads "0–2, 5"."""
    parts: list[list[int]] = []
    for value in sorted(set(values)):
        if parts and value == parts[-1][1] + 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}–{b}" for a, b in parts)


def numbers(values: Iterable[int], noun: str) -> str:
    """ "seed 3", "seeds 0–2"."""
    values = list(values)
    return f"{noun} {ranges(values)}" if len(values) == 1 else f"{noun}s {ranges(values)}"


def spread(values: Iterable[int]) -> str:
    """From the least to the greatest: "1,347" or "266–273"."""
    values = list(values)
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def grouped(texts: Mapping[str, str]) -> str:
    """The one text that all keys (methods, scenarios) share; else each text, the commonest first and bare, the others
    with their keys."""
    groups: dict[str, list[str]] = {}
    for key, text in texts.items():
        groups.setdefault(text, []).append(key)
    first, *others = sorted(groups, key=lambda text: -len(groups[text]))
    return "; ".join([first, *(f"{', '.join(groups[text])}: {text}" for text in others)])


def last_line(error: str | None) -> str:
    """What a traceback comes down to."""
    return ((error or "").strip().splitlines() or ["no reason recorded"])[-1].strip()


def cut(text: str, most: int) -> str:
    """`text` in at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
