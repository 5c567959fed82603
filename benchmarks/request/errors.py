"""What is wrong with a request, all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SettingsError(ValueError):
    """Everything that is wrong with what was asked for; `problems` has a line each."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[type[SettingsError], tuple[list[str]]]:
        """As another process gets it: with the list, of which Exception would make one text."""
        return SettingsError, (self.problems,)


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
