"""Which suites there are. (Methods are in METHODS, streams in SCENARIOS, scores in SCORES, by name.)"""

from __future__ import annotations

from pathlib import Path

SUITES = Path(__file__).parent.parent / "suites"
"""A suite that comes with Retain is a file here."""


def suite_names() -> list[str]:
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def is_file(suite: str) -> bool:
    """Whether `suite`, as it was asked for, is a file of one's own and no name."""
    return suite.endswith((".yaml", ".yml"))


def path_of(suite: str) -> Path:
    """Where the suite is, if it is: by its name, or as a file."""
    return Path(suite) if is_file(suite) else SUITES / f"{suite}.yaml"
