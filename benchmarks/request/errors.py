"""What is wrong with a request, all of it at once; and an error of somebody's code in a line."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class SettingsError(ValueError):
    """Everything that is wrong with what was asked for; `problems` has a line each."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[type[SettingsError], tuple[list[str]]]:
        """As another process gets it: with the list, of which Exception would make one text."""
        return SettingsError, (self.problems,)


def describe(error: BaseException, path: Path | None = None) -> str:
    """An exception in a line, with the last place in the file at `path` that it came through."""
    text = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    in_file = [f for f in frames if path is not None and Path(f.filename) == path.resolve()] or [
        f for f in frames if path is not None and Path(f.filename).name == path.name
    ]
    return f"{text} ({Path(in_file[-1].filename).name}:{in_file[-1].lineno})" if in_file else text


def together(*parts: Callable[[], Any]) -> list[Any]:
    """What each of `parts` gives. Raises SettingsError with everything that is wrong with any of them."""
    given: list[Any] = []
    problems: list[str] = []
    for part in parts:
        try:
            given.append(part())
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return given
