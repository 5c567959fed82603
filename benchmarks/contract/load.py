"""Methods from files outside the tree."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path

from benchmarks.request.errors import SettingsError
from methods import Method
from scenarios.nearest import nearest


def load_methods(path: Path) -> list[type[Method]]:
    """The methods that the Python file at `path` defines, in its order; the file is executed.

    Raises SettingsError where there is no such file, where it does not import, and where it defines no method.
    """
    if not path.is_file():
        near = nearest(path.name, sorted(p.name for p in path.parent.glob("*.py"))) if path.parent.is_dir() else ""
        raise SettingsError([f"no file {path}{near}"])
    if path.suffix != ".py":
        raise SettingsError([f"{path} is no Python file (.py)"])
    # a name that no other module has, and the file's folder in reach, as if it were run as a script
    name = f"checked_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # pickle and typing look classes up by their module's name
    sys.modules[name] = module
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SettingsError([f"{path} does not import: {describe(error, path)}"]) from error
    finally:
        sys.path.remove(folder)
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


def describe(error: BaseException, path: Path | None = None) -> str:
    """An exception in a line, with the last place in the file at `path` that it came through."""
    text = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    in_file = [f for f in frames if path is not None and Path(f.filename) == path.resolve()] or [
        f for f in frames if path is not None and Path(f.filename).name == path.name
    ]
    return f"{text} ({Path(in_file[-1].filename).name}:{in_file[-1].lineno})" if in_file else text
