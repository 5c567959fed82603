"""Plug-ins: methods, streams, data sets, networks and scores of a user's own file, module or installed package.

A suite names one where it would name one of ours, `path/to/file.py:Name` (from the suite's own folder), or lists files
and modules under `include`; so does `--include` of a command. An installed package offers its own by entry points of the
groups of GROUPS. What is found is registered under its own name in the tables where ours stand, and is from then on used,
checked, hashed and listed as they are. A cell brings its plug-ins to the process that runs it (CellSettings).

What a file or module gives: every Method, Stream, ModelSettings and Score that it defines. By `file.py:Name` also an
nn.Module or a function that makes one (a backbone), and a function that loads a data set, `(roots) -> Dataset`. Where
nothing says which of the two a function is, its arguments do: `roots`, or one without a default, is a loader's.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
import warnings
from collections.abc import Iterator, MutableMapping, Sequence
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from benchmarks.own_packages import place_of_module
from benchmarks.request.errors import SettingsError, describe
from benchmarks.request.repository import PACKAGES
from scenarios.nearest import nearest

GROUPS = {
    "retain.methods": "method",
    "retain.streams": "stream",
    "retain.datasets": "data",
    "retain.backbones": "backbone",
    "retain.scores": "score",
}
"""Of entry points, with what each offers."""
KINDS = {"method": "method", "stream": "stream", "data": "data set", "backbone": "backbone"}
"""Settings of a suite whose value may be a plug-in, and what it then is."""

Plugin = tuple[str, str | None]
"""What `include` takes: "FILE", "FILE:Name", "MODULE" or "MODULE:Name", and what it is to be."""
_included: dict[Plugin, list[str]] = {}
"""Every plug-in of this process, with the names that it registered."""
_modules: list[ModuleType] = []


class _Beside:
    """Finds what a plug-in's file imports from its own folder, where nothing else finds it.

    The end of `sys.path` would not do: it stands before the finder of an editable install, so that a folder `models` of
    the user's would stand before Retain's own, in the processes started from here too, which are given the path.
    """

    def __init__(self) -> None:
        self.folders: list[str] = []

    def look_in(self, folder: Path) -> None:
        if str(folder) not in self.folders:
            self.folders.append(str(folder))
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        return PathFinder.find_spec(name, self.folders) if path is None else None


_beside = _Beside()


def included() -> list[Plugin]:
    """The plug-ins of this process, as `include_all` takes them again."""
    return list(_included)


def has_plugins() -> bool:
    """Whether anything here is not Retain's own."""
    return bool(_modules)


def plugin_modules() -> frozenset[str]:
    """The modules of the plug-ins, and those beside them that they import."""
    folders = {str(Path(file).parent) for m in _modules if (file := getattr(m, "__file__", None))}
    beside = {
        n for n, m in list(sys.modules.items()) if str(Path(getattr(m, "__file__", None) or "/").parent) in folders
    }
    return frozenset({m.__name__ for m in _modules} | (beside if folders else set()))


def error_text(error: BaseException) -> str:
    """An exception in a line, with the last place in a plug-in, or beside one, that it came through; where it came through
    none, with the place where it was raised."""
    files = {getattr(sys.modules.get(name), "__file__", None) for name in plugin_modules()}
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    theirs = [file for file in frames if file in files]
    return describe(error, Path((theirs or frames)[-1]))


def is_plugin(value: Any) -> bool:
    """Whether the value of a setting is `path/to/file.py:Name`."""
    return isinstance(value, str) and ".py:" in value


def include(what: str, beside: Path | None = None, kind: str | None = None) -> list[str]:
    """Imports a plug-in, `FILE`, `FILE:Name`, `MODULE` or `MODULE:Name`, and registers what it has; gives the names.

    beside: the folder that a relative path of a file starts from; kind: a table of `_tables`, what `Name` is to be.
    Raises SettingsError: no such file or name, an import that fails (with its traceback), a name that is taken.
    """
    place, colon, name = what.rpartition(":")
    if not colon or place == "" or (len(place) == 1 and place.isalpha()):
        place, name = what, ""
    if place.endswith(".py"):
        place = str(((beside or Path.cwd()) / Path(place).expanduser()).resolve())
    key = (f"{place}:{name}" if name else place, kind)
    if key not in _included:
        module = load_file(Path(place)) if place.endswith(".py") else _import(place, beside or Path.cwd())
        _modules.append(module)
        _included[key] = [_register(*found) for found in _found(module, name, place, kind)]
    return _included[key]


def register(kind: str, thing: Any) -> str:
    """Registers a class or function of this process, such as one of a script or a notebook, for this process alone; gives
    its name. What was registered under that name from the same module is replaced: a cell of a notebook runs again.

    kind: of KINDS. Raises SettingsError: a thing without a name, of another kind, or of the name of one that there is.
    """
    name, module = getattr(thing, "__name__", ""), sys.modules.get(getattr(thing, "__module__", None) or "")
    if module is None or not name.isidentifier():
        raise SettingsError(
            [f"{KINDS[kind]} {thing!r} has no name: give a class, or a function that is defined by def"]
        )
    if module not in _modules:
        _modules.append(module)
    table = _tables()[kind]
    if name in table and table[name].__module__ == module.__name__ and module.__name__.split(".")[0] not in PACKAGES:
        if getattr(table[name], "defined_by", table[name]) is thing:
            return name
        del table[name]
    entries = list(_entry(name, thing, module, kind))
    if not entries:
        raise SettingsError([f"{name} is no {KINDS[kind]}"])
    (entry,) = entries
    return _register(*entry)


def include_all(plugins: list[Plugin]) -> None:
    """What another process had included."""
    for what, kind in plugins:
        include(what, kind=kind)


@cache
def include_installed() -> None:
    """The plug-ins that installed packages offer; one that does not import is named in a warning and left out."""
    offered = metadata.entry_points()  # reads what every installed package says: once
    for entry in [entry for group in GROUPS for entry in offered.select(group=group)]:
        try:
            include(entry.value if ":" in entry.value else f"{entry.value}:{entry.name}", kind=GROUPS[entry.group])
        except SettingsError as error:
            warnings.warn(f"plug-in {entry.name} of {entry.group}: {error}", stacklevel=2)


def with_plugins(document: dict[str, Any], file: Path) -> dict[str, Any]:
    """What the suite `file` says, with its plug-ins included and in place of each its registered name.

    Raises SettingsError as `include`, and where `include` is no list of texts.
    """
    folder, listed = file.parent, document.get("include", [])
    if not (isinstance(listed, list) and all(isinstance(what, str) for what in listed)):
        raise SettingsError([f"{file}: include: {listed!r} should be a list of files and modules, e.g. [my_method.py]"])
    for what in listed:
        include(what, folder)

    def walked(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {_name(k, "method", folder) if key == "methods" else k: walked(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [_name(v, "method", folder) if key == "methods" else walked(v, key) for v in value]
        return _name(value, key, folder) if key in KINDS else value

    return walked({key: value for key, value in document.items() if key != "include"}, "")


def _name(value: Any, kind: str, folder: Path) -> Any:
    return include(value, folder, kind)[0] if is_plugin(value) else value


def load_file(path: Path) -> ModuleType:
    """The module of the Python file at `path`, which is executed once for a process; its folder is searched for what it
    imports, after all others. Raises SettingsError where there is no such file, where it does not import, and where it
    would import what lies beside another plug-in."""
    if not path.is_file():
        near = nearest(path.name, sorted(p.name for p in path.parent.glob("*.py"))) if path.parent.is_dir() else ""
        raise SettingsError([f"no file {path}{near}"])
    if path.suffix != ".py":
        raise SettingsError([f"{path} is no Python file (.py)"])
    path = path.resolve()
    # a name that no other module has
    name = f"plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _import_ours()
    _check_imports(path)
    _beside.look_in(path.parent)
    sys.modules[name] = module  # pickle and typing look classes up by their module's name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script that ends itself is not one that worked
        del sys.modules[name]
        raise SettingsError([_told(path, error)]) from error
    return module


def _check_imports(path: Path) -> None:
    """A process has one module of a name: raises SettingsError where the plug-in at `path`, or a file beside it that it
    imports, imports another one from its folder and would get that of another plug-in."""
    folder, todo, seen = path.parent, [path], set(PACKAGES)
    while todo:
        for name in _imported(todo.pop()) - seen:
            seen.add(name)
            own = _place_in(folder, name)
            if own is None:
                continue
            found = place_of_module(name)
            if found not in (None, own) and found in [_place_in(Path(other), name) for other in _beside.folders]:
                raise SettingsError([f"{name} of {path} is already {found}: call one of them otherwise"])
            todo.append(own / "__init__.py" if own.is_dir() else own)


def _place_in(folder: Path, name: str) -> Path | None:
    """The folder or file of a module in `folder`, as Python would choose it."""
    package, file = folder / name, folder / f"{name}.py"
    found = file if file.is_file() and not (package / "__init__.py").is_file() else package
    return found.resolve() if found.exists() else None


def _imported(file: Path) -> set[str]:
    """The first parts of the names that a file imports, but for relative ones; of none that is not Python."""
    try:
        statements = list(ast.walk(ast.parse(file.read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return set()
    names = [alias.name for s in statements if isinstance(s, ast.Import) for alias in s.names]
    names += [s.module for s in statements if isinstance(s, ast.ImportFrom) and s.module and not s.level]
    return {name.partition(".")[0] for name in names}


def _import(name: str, folder: Path) -> ModuleType:
    """The module `name`; where there is none, the error names the file in `folder` that may have been meant."""
    _import_ours()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        absent = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        if not absent:
            raise SettingsError([_told(name, error)]) from error
        file = name.replace(".", "/") + ".py"
        hint = f"; did you mean '{file}'?" if (folder / file).is_file() else ""
        raise SettingsError([f"no module {name}{hint}"]) from error


def _import_ours() -> None:
    """Before anything of the user's, so that `import models` in it means Retain's own wherever it lies."""
    for package in PACKAGES:
        importlib.import_module(package)


def _told(what: object, error: BaseException) -> str:
    """Why it does not import: its own part of the traceback, and a hint where a name of ours stands in the way."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = (__file__, importlib.__file__)
    theirs = [n for n, f in enumerate(frames) if f.filename not in ours and not f.filename.startswith("<frozen")]
    shown = traceback.format_list(frames[theirs[0] :] if theirs else []) + traceback.format_exception_only(error)
    taken = str(getattr(error, "name", None) or "").split(".")[0]
    hint = (
        f"\n{taken!r} is one of Retain's own packages, which come first: call yours otherwise"
        if isinstance(error, ImportError) and taken in PACKAGES
        else ""
    )
    return f"{what} does not import:\n{''.join(shown).rstrip()}{hint}"


def _found(module: ModuleType, name: str, place: str, kind: str | None) -> Iterator[tuple[str, list[str], Any]]:
    """(table, names, thing) of all that `module` defines, or of its `name`."""
    if not name:
        things = [(key, value) for key, value in vars(module).items() if _is_own(value, module)]
        found = [(t, n, v) for key, value in things for t, n, v in _entry(key, value, module, None)]
        if not found:
            raise SettingsError(
                [f"{place} defines no method, stream, network or score; a function is named: {place}:NAME"]
            )
        yield from found
        return
    if not hasattr(module, name):
        names = [key for key, value in vars(module).items() if _is_own(value, module)]
        raise SettingsError([f"{place} has no {name}{nearest(name, names)}"])
    entries = list(_entry(name, getattr(module, name), module, kind or "any"))
    if not entries:
        raise SettingsError(
            [f"{place}: {name} is no {KINDS.get(kind or '', 'method, stream, data set, backbone or score')}"]
        )
    yield from entries


def _is_own(value: Any, module: ModuleType) -> bool:
    from metrics import Score

    return isinstance(value, Score) or getattr(value, "__module__", None) == module.__name__


def _entry(key: str, value: Any, module: ModuleType, kind: str | None) -> Iterator[tuple[str, list[str], Any]]:
    """Where `value` is registered and under which names. kind: None for what tells itself; of KINDS, or "any"."""
    from torch import nn

    from methods import Method
    from metrics import Score
    from models import ModelSettings
    from scenarios import Stream

    is_class = inspect.isclass(value)
    if isinstance(value, Score):
        if kind in (None, "any", "score"):
            yield "score", [value.id], value
    elif is_class and issubclass(value, Method):
        if kind in (None, "any", "method"):
            yield "method", [key], value
    elif is_class and issubclass(value, Stream):
        if kind in (None, "any", "stream"):
            yield "stream", _literals(value, "stream", key), value
    elif is_class and issubclass(value, ModelSettings):
        if kind in (None, "any", "backbone"):
            yield "backbone", _literals(value, "backbone", key), value
    elif kind == "backbone" or (kind == "any" and (issubclass(value, nn.Module) if is_class else _makes(value))):
        if callable(value):
            yield "backbone", [key], _backbone_settings(key, value, module)
    elif kind in ("data", "any") and callable(value) and not is_class:
        yield "data", [key], value


def _makes(value: Any) -> bool:
    """Whether a function can be called as one that makes a network, and not as one that loads a data set."""
    try:
        arguments = inspect.signature(value).parameters
    except (TypeError, ValueError):
        return False
    needed = {
        n for n, a in arguments.items() if a.default is a.empty and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)
    }
    return needed <= {"image_shape"} and "roots" not in arguments


def _literals(cls: Any, field: str, name: str) -> list[str]:
    """The names that a class of settings gives itself, `stream: Literal["name"] = "name"`."""
    names = [n for n in get_args(cls.model_fields[field].annotation) if isinstance(n, str)]
    if not names:
        raise SettingsError([f'{name} has no name in suites: give it one, `{field}: Literal["{name.lower()}"]`'])
    return names


def _backbone_settings(name: str, make: Any, module: ModuleType) -> Any:
    """Settings of the network that `make` gives: its arguments, but for `image_shape`, which it gets where it asks."""
    from models.plain_module import backbone_settings

    made = getattr(module, f"{name}Settings", None)
    if getattr(made, "defined_by", None) is make:  # included before, without a word of what it is
        return made
    try:
        settings = backbone_settings(name, make, module.__name__)
    except ValueError as error:
        raise SettingsError([str(error)]) from None
    setattr(module, settings.__name__, settings)  # where pickle finds it
    return settings


def _tables() -> dict[str, MutableMapping[str, Any]]:
    from methods import METHODS
    from metrics import SCORES
    from models import BACKBONES
    from scenarios import DATASETS, SCENARIOS

    return {"method": METHODS, "stream": SCENARIOS, "data": DATASETS, "backbone": BACKBONES, "score": SCORES}


def _register(table: str, names: list[str], thing: Any) -> str:
    known = _tables()[table]
    for name in names:
        if name in known and known[name] is not thing:
            where = _place_of(thing)
            raise SettingsError([f"{table} {name!r} of {where}: there is one of this name; call yours otherwise"])
        known[name] = thing
    return names[0]


def _place_of(thing: Any) -> str:
    """The file that `thing` is defined in, else its module."""
    module = getattr(thing, "__module__", None) or "a plug-in"
    return getattr(sys.modules.get(module), "__file__", None) or module
