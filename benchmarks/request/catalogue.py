"""Which suites there are. (Methods are in METHODS, streams in SCENARIOS, scores in SCORES, by name.)"""

from __future__ import annotations

import os
from pathlib import Path

SUITES = Path(__file__).parent.parent / "suites"
"""A suite that comes with Retain is a file here."""


def suite_names() -> list[str]:
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def is_file(suite: str) -> bool:
    """Whether `suite`, as it was asked for, is a file of one's own and no name."""
    return suite.endswith((".yaml", ".yml"))


def like_of(like: str, file: Path) -> str:
    """What `file` is like, as its `like:` says it: the name of a suite, or a file, from the folder of `file`. One that is
    not there but in the working folder is the latter, as `tune` wrote them."""
    beside = file.parent / like
    return str(beside) if is_file(like) and (beside.is_file() or not Path(like).is_file()) else like


def like_from(suite: str, folder: Path) -> str:
    """How a file in `folder` says that it is like `suite`, which is a name, or a file from the working folder."""
    return Path(os.path.relpath(suite, folder)).as_posix() if is_file(suite) else suite


def path_of(suite: str) -> Path:
    """Where the suite is, if it is: by its name, or as a file."""
    return Path(suite) if is_file(suite) else SUITES / f"{suite}.yaml"
