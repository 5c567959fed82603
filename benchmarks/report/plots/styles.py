"""How a method looks: the same colour, marker and dashes in every plot of every suite.

A style follows from the method's place in METHODS alone, never from its place in a plot. Three signs differ at once,
so that methods stay apart in grey print and for readers who do not see the colours apart; and every plot names its
methods beside their signs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from benchmarks.request import declarations
from methods import METHODS

# Okabe & Ito 2008 ("Color Universal Design") without yellow, which is too faint for a line on white paper; then four
# darker ones in the manner of Tol 2021 ("Colour Schemes", muted).
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#332288", "#7D7D00", "#6B4226")
UPPER, LOWER = "#000000", "#7A7A7A"
# Numbers of entries without a common factor: hue, marker and dashes all repeat together only after 10 x 11 x 3 methods.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*")
BOUND_MARKERS = {UPPER: "h8", LOWER: "dX"}
Dash = tuple[float, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ((0, (6, 1.5)), (0, (1.5, 1)), (0, (7, 1.5, 1.5, 1.5)))
SOLID: Dash = (0, ())


@dataclass(frozen=True)
class Style:
    """marker: matplotlib's name of it. dash: offset and lengths of a line's dashes, in line widths. filled: whether
    the marker is; a variant of a method (another buffer size) has its colour and marker, but hollow."""

    colour: str
    marker: str
    dash: Dash
    filled: bool = True


def style_of(method: str, name: str | None = None) -> Style:
    """The style of the method `method` of METHODS; `name`: what the suite calls it, where that is another name.

    A method that METHODS does not have gets a style by its name's hash: always the same one, though perhaps another
    method's.
    """
    bound, filled = _bound(method), name is None or name == method
    alike = [m for m in METHODS if _bound(m) == bound]
    number = alike.index(method) if method in alike else _hash(method)
    variant = number if filled else _hash(str(name))
    dash = DASHES[variant % len(DASHES)]
    if bound:
        marks = BOUND_MARKERS[bound]
        return Style(bound, marks[number % len(marks)], SOLID if filled else dash, filled)
    return Style(HUES[number % len(HUES)], MARKERS[number % len(MARKERS)], dash, filled)


def _bound(method: str) -> str:
    """The colour of a bound; empty for other methods."""
    declared = declarations.method(method)
    if declared is None or not (declared.sees_past_data or declared.family == "baseline"):
        return ""
    return UPPER if declared.sees_past_data else LOWER


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
