"""The source that decides a cell: its method's module, its stream's, its network's and the core's, with all that they import.

An edit of one of these files may change the cell's numbers, which its settings do not tell; so a record carries a hash
of each (of the code: comments, docstrings and blank lines decide nothing). Read off the files, not off the modules:
so it can be told of any commit too.
"""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.request.notes import keeps_notes, noted
from benchmarks.request.plugins import has_plugins
from benchmarks.request.repository import commit, is_installed, repository
from benchmarks.request.source_imports import Source, hashes, registered
from benchmarks.request.source_tree import HERE, Place, Tree, tree_at
from benchmarks.request.suite import CellSettings
from benchmarks.request.validation import has_validation

CORE = tuple(
    f"benchmarks.cell.{name}" for name in ("run", "fit", "evaluate", "features", "matmul_backend", "checkpoint")
)
"""What runs a cell. The rest of `benchmarks` says which cells there are and keeps what they leave: it is not followed."""
FORMER_CORE = tuple(f"benchmarks.{name}" for name in ("run", "fit", "evaluate", "products", "checkpoint"))
"""The same at older commits, of which there are records."""


def source_of(method: str, stream: str, backbone: str = "mlp") -> Source:
    """The source that decides the cells of a method, a stream and a backbone, by their names; as it was when this process
    began."""
    from methods import METHODS
    from models import BACKBONES
    from scenarios import SCENARIOS

    things: tuple[Any, ...] = (METHODS[method], SCENARIOS[stream], BACKBONES[backbone])
    return dict(_source_of(*things))


def source_of_cell(cell: CellSettings) -> Source:
    """The same for a cell."""
    if has_plugins() or has_validation(cell.resolved.document["scenario"]) or not keeps_notes():
        return dict(_source_of(*_things(cell)))
    return dict(_noted_source(*names_of(cell)))


@cache
def _noted_source(method: str, stream: str, backbone: str) -> Source:
    return noted("source", [method, stream, backbone], lambda: source_of(method, stream, backbone))


def _things(cell: CellSettings) -> list[Any]:
    """What a cell is run with: the classes of its method, stream and network, and what loads its data where that is a
    plug-in."""
    from methods import METHODS
    from models import BACKBONES
    from models.plain_module import PlainModuleSettings
    from scenarios import DATASETS, SCENARIOS
    from scenarios.validation import held_out

    method, stream, backbone = names_of(cell)
    data = DATASETS.get(cell.scenario.data)
    own = [data] if data is not None and HERE.module(data.__module__) is None else []
    network: Any = BACKBONES[backbone]
    settings = [PlainModuleSettings] if issubclass(network, PlainModuleSettings) else []
    divided = [held_out] if has_validation(cell.resolved.document["scenario"]) else []
    return [METHODS[method], SCENARIOS[stream], network, *settings, *own, *divided]


def names_of(cell: CellSettings) -> tuple[str, str, str]:
    """The names of a cell's method, stream and backbone in their registries."""
    settings = cell.resolved.document
    kind = settings["model"]["backbone"].partition(":")[0]
    return settings["method"]["name"], settings["scenario"]["stream"], kind


@cache
def _source_of(*things: Any) -> Source:
    return hashes([*_core(HERE), *map(place_of, things)])


@cache
def source_at(commit: str, method: str, stream: str, backbone: str = "mlp") -> Source | None:
    """The same at a commit of this repository; None where that cannot be told: uncommitted changes, no such history.

    Older commits have no list of backbones: there all of them decide each cell.
    """
    tree = tree_at(commit)
    if tree is None:
        return None
    places = [registered(tree, "methods", "METHODS", method), registered(tree, "scenarios", "SCENARIOS", stream)]
    found = [place for place in places if place is not None]
    if len(found) < len(places):
        return None
    network = registered(tree, "models", "BACKBONES", backbone)
    return hashes([*_core(tree), *found, *([network] if network else [])])


def place_of(cls: Any) -> Place:
    """Where a class or function is defined. Of the project's own files the text is that which this process began with."""
    cls = vars(cls).get("defined_by", cls) if inspect.isclass(cls) else cls  # settings made for a network of the user's
    if found := HERE.module(cls.__module__):
        return found
    try:
        file = Path(inspect.getfile(cls)).resolve()
    except (OSError, TypeError):  # typed at a prompt
        return Place(Tree({cls.__module__: cls.__qualname__}), cls.__module__)
    return Place(*_outside(file))


def commits_of(*things: Any) -> dict[str, str | None]:
    """Of a record's environment: the commit of the repository that a cell's method, or else another of `things`, is of;
    with "retain", this project's own, where that is another."""
    own = commit()
    place = next((place for place in map(place_of, things) if place.tree is not HERE), None)
    if place is None:
        return {"commit": own}
    theirs = commit(place.tree.root / place.path) if place.tree.root else None
    return {"commit": theirs} | ({"retain": own} if own != theirs else {})


def commits_of_cell(cell: CellSettings) -> dict[str, str | None]:
    """The same for all that a cell is run with."""
    return commits_of(*_things(cell))


def _outside(file: Path) -> tuple[Tree, str]:
    """The repository of a file that is none of the project's; without one, the folder above its package."""
    top = file.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    package = file.relative_to(top).parts[0].removesuffix(".py")
    root = repository(file)
    package = package if is_installed(file) else ""
    return Tree(root=root or top, project=HERE, package=package), file.relative_to(root or top).as_posix()


def _core(tree: Tree) -> list[Place]:
    return [place for place in map(tree.module, (*CORE, *FORMER_CORE)) if place is not None]
