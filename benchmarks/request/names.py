"""What suites, scenarios and methods may be called: their names become names of files and folders."""

from __future__ import annotations

import re

LONGEST = 64
"""Characters of a name: a record's file is called after scenario, method and seed, and file systems end at 255."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def check_name(name: str, kind: str) -> str:
    """`name` if a `kind` (for the message: "method") may be called so. Raises ValueError that says what is allowed."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        shown = repr(name) if len(name) <= LONGEST else f"{name[:20]!r}... of {len(name)} characters"
        raise ValueError(
            f"{shown} is no name of a {kind}: 1 to {LONGEST} letters, digits and . _ + - that begin with a letter or a "
            "digit, as files are called after it"
        )
    return name


def check_scenario_name(name: str) -> str:
    """The same of a scenario, whose name may have parts, e.g. "split-mnist/class"; in all as long as any other."""
    for part in name.split("/"):
        try:
            check_name(part, "scenario")
        except ValueError as error:
            raise ValueError(str(error) if part == name else f"scenario {name[:LONGEST]!r}: {error}") from None
    if len(name) > LONGEST:
        raise ValueError(f"scenario {name[:20]!r}...: a name of {len(name)} characters, of at most {LONGEST}")
    return name


def file_name(scenario: str) -> str:
    """A scenario's name as part of the name of a file."""
    return scenario.replace("/", ".")
