"""The valid name nearest to one that is not: what every message about an unknown name or setting ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHORT = 20
"""As many names can be listed whole."""


def nearest(name: str, known: Iterable[str], otherwise: str | None = None, prefix: str = "") -> str:
    """ "; did you mean 'x'?" for the known name most like `name`. Where none is: `otherwise`, or the names if they are few.

    prefix: what the names are written with, and `name` is not.
    """
    known = list(known)
    near = closest(name, known)
    if near is not None:
        return _meant(prefix + near)
    if otherwise is not None:
        return f"; {otherwise}"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= SHORT else ""


def nearest_setting(key: str, known: Iterable[str], otherwise: str | None = None, within: str = "") -> str:
    """The same for a dotted key of settings. within: the dotted key that those `known` stand under."""
    near = nearest_key(key, known)
    if near is not None:
        return _meant(f"{within}.{near}" if within else near)
    return f"; {otherwise}" if otherwise is not None else ""


def _meant(name: str) -> str:
    return f"; did you mean {name!r}?"


def closest(name: str, known: Iterable[str], cutoff: float = 0.4) -> str | None:
    """The known name most like `name`, upper case or lower; None where all are less like it than `cutoff`, of 1."""
    known = list(known)
    if name in known:
        return name
    lower = {key.lower(): key for key in reversed(known)}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=cutoff)
    return lower[near[0]] if near else None


def nearest_key(key: str, known: Iterable[str]) -> str | None:
    """The dotted key of `known` that `key` most likely meant: one that ends alike, else a neighbour, else any.

    "lr" is "optimizer.lr", "optimizer.lrr" is "optimizer.lr", "optimizer.epoch" is "epochs".
    """
    known = list(known)
    folder, _, name = key.rpartition(".")
    ends = {k: k.rpartition(".")[2] for k in known}
    same = [k for k in known if ends[k] == name]
    if same:
        return closest(key, same, cutoff=0.0)
    for among in ([k for k in known if k.rpartition(".")[0] == folder], known):
        near = closest(name, dict.fromkeys(ends[k] for k in among))
        if near is not None:
            return next(k for k in among if ends[k] == near)
    return None
