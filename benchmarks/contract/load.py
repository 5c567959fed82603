"""Methods from files outside the tree."""

from __future__ import annotations

import inspect
from pathlib import Path

from benchmarks.request.errors import SettingsError
from benchmarks.request.plugins import load_file
from methods import Method


def load_methods(path: Path) -> list[type[Method]]:
    """The methods that the Python file at `path` defines, in its order; the file is executed.

    Raises SettingsError where there is no such file, where it does not import, and where it defines no method.
    """
    module = load_file(path)
    name = module.__name__
    classes = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == name]
    found = [c for c in dict.fromkeys(classes) if issubclass(c, Method)]
    if not found:
        others = f"; its classes: {', '.join(c.__name__ for c in classes)}" if classes else ""
        raise SettingsError(
            [
                f"{path} defines no method: a method is a class derived from Method (`from methods import Method`){others}"
            ]
        )
    return found
