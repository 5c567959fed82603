"""What a request leaves of a suite: the methods, scenarios and seeds it names; and how a command names them."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from benchmarks.request.suite_yaml import MOST_SEEDS
from methods import METHODS
from scenarios.nearest import nearest


def parse_seeds(text: str, problems: list[str]) -> list[int] | None:
    """ "5" is 0..4, "1,2,3" a list, "0," seed 0 alone. Something else is added to `problems`, and None returned."""
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
        if not numbers or min(numbers) < 0 or ("," not in text and not 1 <= numbers[0] <= MOST_SEEDS):
            raise ValueError
        if len(set(numbers)) != len(numbers) or max(numbers) >= 2**63:
            raise ValueError
    except ValueError:
        problems.append(
            f"--seeds {text!r}: give a number of seeds (1 to {MOST_SEEDS:,}), e.g. 5, or a list without repetition, "
            "e.g. 1,2,3, or 0, (with the comma) for seed 0 alone"
        )
        return None
    return numbers if "," in text else list(range(numbers[0]))


def add_registered(methods: dict[str, dict[str, Any]], wanted: list[str]) -> None:
    """Adds to a suite's `methods` those of `wanted` that it has not and `list methods` has, with their defaults.

    One that trains no network of the usual kind brings its own.
    """
    for name in wanted:
        if name in METHODS and not any(fnmatchcase(known, name) for known in methods):
            from models import EXTRACTORS  # with torch, which refusing a name does without

            backbones = METHODS[name].backbones
            methods[name] = {} if set(backbones) & set(EXTRACTORS) else {"model": {"backbone": backbones[0]}}


def select(kind: str, known: dict[str, Any], wanted: list[str], suite: str, problems: list[str]) -> dict[str, Any]:
    """The entries of `known` that `wanted` names, shell patterns allowed; all where it names none that there is.

    So the rest of a wrong request is still checked.
    """
    if not wanted:
        problems.append(f"--{kind}s names none: leave it out for all of suite {suite}")
    chosen: dict[str, Any] = {}
    for name in wanted:
        matching = [k for k in known if fnmatchcase(k, name)]
        if not matching:
            others = METHODS if kind == "method" else ()
            problems.append(f"unknown {kind} {name!r} in suite {suite}{nearest(name, [*known, *others])}")
        chosen |= {k: known[k] for k in matching}
    return chosen or known


def selection(name: str) -> str:
    """`name` for --methods or --scenarios, quoted for a shell; the command line would take it for a pattern."""
    return shlex.quote(glob.escape(name))


def seed_selection(seeds: Iterable[int]) -> str:
    """`seeds` for --seeds, where one number is a count and a list needs a comma."""
    seeds = sorted(seeds)
    if seeds == list(range(len(seeds))) and len(seeds) > 1:
        return str(len(seeds))
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")
