"""results/published/parity.md: which release each method was held against, and how near it came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from methods import METHODS
from methods.core.releases import HELD_AGAINST
from tests.parity import cases
from tests.parity.comparisons import APART, AS_RELEASED, COMPARISONS, Comparison

PAGE = Path(__file__).parents[2] / "results/published/parity.md"
MAGNITUDES = (1e-12, 1e-9, 1e-6, 1e-5)
"""Rounding differs from processor to processor; the magnitude that it stays below hardly does."""


def page() -> str:
    """The page as it is now. Raises what the test of a comparison raises that does not hold."""
    held = [name for name in METHODS if name in HELD_AGAINST]
    others = [f"`{name}`" for name in METHODS if name not in HELD_AGAINST]
    lines = [
        "# The methods against their authors' releases",
        "",
        "Written by `python -m tests.parity`, not by hand. The functions named were run in double precision on small given "
        "inputs; what they gave lies in `tests/parity/golden`, and every comparison below is a test of `tests/parity`. "
        "*Difference*: the largest of any number compared, as a share of the largest number of its tensor, found by "
        "running our code and rounded up (our losses take logits in single precision, hence 1e-6). *Equal*: the same "
        "exemplars, orders or initial values, to the last bit. Losses, steps, memories and networks are compared here, not "
        "training runs.",
        "",
        f"Held against no release: {', '.join(others)}.",
    ]
    for name in held:
        lines += _section(name)
    return "\n".join(lines) + "\n"


def _section(name: str) -> list[str]:
    release, own = HELD_AGAINST[name], [c for c in COMPARISONS if c.method == name]
    settings = ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in AS_RELEASED.get(name, {}).items())
    return [
        "",
        f"## {name}",
        f"[{release}]({release.url}), {f'with {settings}' if settings else 'with the defaults'}.",
        "",
        "| compared | the release's functions | cases | difference |",
        "|:--|:--|--:|--:|",
        *(_row(comparison) for comparison in own),
        *(
            ["", "Where release and paper, or release and ours, part: " + " ".join(APART[name])]
            if name in APART
            else []
        ),
    ]


def _row(comparison: Comparison) -> str:
    ran, difference = measured(comparison)
    code = source_of(comparison)["code"]
    if comparison.by:
        code = f"[{comparison.by}]({comparison.by.url}): {code}"
    return f"| {comparison.compared} | {code} | {ran} | {magnitude(difference)} |"


def source_of(comparison: Comparison) -> dict[str, str]:
    """repository, commit, file and code of its golden cases; of several sources, those of the release, else the first."""
    source = json.loads((cases.GOLDEN / f"{comparison.golden}.json").read_text(encoding="utf-8"))["source"]
    several = source if isinstance(source, list) else [source]
    return next((s for s in several if s["repository"] == comparison.release.repository), several[0])


def magnitude(difference: float | None) -> str:
    """Raises ValueError for a difference that no rounding explains."""
    if difference is None:
        return "equal"
    for bound in MAGNITUDES:
        if difference <= bound:
            return f"≤ {bound:.0e}".replace("e-0", "e-")
    raise ValueError(f"a difference of {difference} is more than rounding")


def measured(comparison: Comparison) -> tuple[int, float | None]:
    """How many cases the comparison has, and the largest difference in them; None where nothing but equality is asked.

    Runs its test on them, so that a case which fails raises what the test raises.
    """
    ran, largest = 0, None
    for call in calls(comparison.test):
        cases.differences.clear()
        call()
        ran += 1
        largest = max([*cases.differences, *([] if largest is None else [largest])], default=None)
    return ran, largest


def calls(test: str) -> Iterator[Any]:
    """The calls that pytest makes of "file::function[start of the parameters' id]", as functions of nothing."""
    where, _, start = test.partition("[")
    module, _, name = where.partition("::")
    function = getattr(import_module(f"tests.parity.{module}"), name)
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    found = 0
    for chosen in product(*(_values(mark) for mark in marks)):
        if not ("-".join(label for label, _ in chosen) + "]").startswith(start):
            continue
        arguments = {key: value for _, values in chosen for key, value in values.items()}
        found += 1

        def call(arguments: dict[str, Any] = arguments) -> None:
            with pytest.MonkeyPatch.context() as patch:
                own = {"monkeypatch": patch} if "monkeypatch" in signature(function).parameters else {}
                function(**arguments, **own)

        yield call
    if not found:
        raise LookupError(f"{test} names no case")


def _values(mark: pytest.Mark) -> Iterator[tuple[str, dict[str, Any]]]:
    names, values = mark.args
    names = [names] if isinstance(names, str) else list(names)
    for value in values:
        if hasattr(value, "values") and hasattr(value, "id"):
            label, given = value.id, value.values
        else:
            label, given = str(value), value if len(names) > 1 else (value,)
        yield label or "", dict(zip(names, given, strict=True))
