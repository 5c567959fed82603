"""What a Python file needs: the files that it imports, and those that they import, of a repository and of the project."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import PurePosixPath

from benchmarks.request.code_hash import hash_of, nodes, parse
from benchmarks.request.repository import PACKAGES
from benchmarks.request.source_tree import Place, Tree

REGISTRIES = {
    ("methods/__init__.py", "METHODS"),
    ("methods/__init__.py", "method_class"),
    ("scenarios/__init__.py", "SCENARIOS"),
    ("models/__init__.py", "BACKBONES"),
}
"""How a class is found by its name. Not followed either, or every method would decide the cells of every other."""

Source = dict[str, str]
"""File -> hash of its code."""


def hashes(start: Iterable[Place]) -> Source:
    """The files of `start` and of all that they import, with their hashes."""
    todo, seen = list(start), set()
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            todo += _imports(place)
    return {
        _name(p): hash_of(p.tree.text(p.path) or "", p.path.endswith("__init__.py")) for p in sorted(seen, key=_name)
    }


def _name(place: Place) -> str:
    own = place.tree.project is not None and place.path.split("/")[0] in PACKAGES
    return f"own:{place.path}" if own else place.path


@cache
def _imports(place: Place) -> tuple[Place, ...]:
    """What a file imports of its own repository and of the project; of a package's file only what the name needs."""
    return tuple(dict.fromkeys(_followed(place)))


def _followed(place: Place) -> Iterator[Place]:
    tree, path, name = place
    module = parse(tree.text(path) or "")
    if not name:
        yield from _imported(module, place)
        return
    imported, defined = _bound(module)
    statement = defined[name]
    yield from _imported(statement, place)
    for node in nodes(statement):
        if isinstance(node, ast.Name) and node.id in imported:
            yield from _imported(imported[node.id], place, node.id)
        elif isinstance(node, ast.Name) and node.id in defined and (path, node.id) not in REGISTRIES:
            yield Place(tree, path, node.id)


def _imported(node: ast.AST, place: Place, bound: str | None = None) -> Iterator[Place]:
    """What the import statements in `node` bring in; with `bound`, only what they bind to that name."""
    for statement in nodes(node):
        if isinstance(statement, ast.ImportFrom):
            module = _absolute(statement, place)
            for alias in statement.names:
                if bound in (None, alias.asname or alias.name):
                    yield from _find(place, module, alias.name)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                if place.tree.module(alias.name, place.path) is None:
                    continue
                local = alias.asname or alias.name
                taken = {"*"} if "." in local else _attributes(node, local)
                for attribute in taken or {"*"}:
                    yield from _find(place, alias.name, attribute)


def _absolute(statement: ast.ImportFrom, place: Place) -> str:
    """The module's name with the dots before it resolved."""
    if not statement.level:
        return statement.module or ""
    above = PurePosixPath(place.tree.above(place.path))
    folder = PurePosixPath(place.path).relative_to(above).parts[: -statement.level]
    return ".".join([*folder, *([statement.module] if statement.module else [])])


def _attributes(node: ast.AST, name: str) -> set[str]:
    """What is taken of the module that `name` is bound to."""
    taken = (n for n in nodes(node) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name))
    return {n.attr for n in taken if n.value.id == name}  # type: ignore[attr-defined]


def _find(place: Place, module: str, name: str) -> Iterator[Place]:
    """Where `name` of `module` is defined: a module of that name, the module that a package has it from, or `module`."""
    tree, path, _ = place
    if found := tree.module(f"{module}.{name}".strip("."), path):
        yield found
        return
    found = tree.module(module, path)
    if found is None:
        return
    if not found.path.endswith("__init__.py"):
        yield found
        return
    imported, defined = _bound(parse(found.tree.text(found.path) or ""))
    if name == "*":
        yield found
    elif name in imported:
        yield from _imported(imported[name], found, name)
    elif name in defined and (found.path, name) not in REGISTRIES:
        yield found._replace(name=name)


@cache
def _bound(module: ast.Module) -> tuple[dict[str, ast.stmt], dict[str, ast.stmt]]:
    """The statements at a module's top that bind a name: those that import it, those that define it."""
    imported: dict[str, ast.stmt] = {}
    defined: dict[str, ast.stmt] = {}
    for statement in _statements(module):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            imported |= {alias.asname or alias.name: statement for alias in statement.names}
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined[statement.name] = statement
        else:
            names = [n.id for n in nodes(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            defined |= dict.fromkeys(names, statement)
    return imported, defined


def _statements(module: ast.Module) -> Iterator[ast.stmt]:
    """A module's top, with what it offers lazily: imports under `if TYPE_CHECKING:`."""
    for statement in module.body:
        if (
            isinstance(statement, ast.If)
            and isinstance(statement.test, ast.Name)
            and statement.test.id == "TYPE_CHECKING"
        ):
            yield from statement.body
        else:
            yield statement


def registered(tree: Tree, package: str, registry: str, name: str) -> Place | None:
    """The module of the class that a package's registry has under a name: the class itself or, in WHERE, its file."""
    place = tree.module(package)
    if place is None:
        return None
    defined = _bound(parse(tree.text(place.path) or ""))[1]
    for statement in (defined.get("WHERE"), defined.get(registry)):
        table = getattr(statement, "value", None)
        if not isinstance(table, ast.Dict):
            continue
        for key, value in zip(table.keys, table.values, strict=True):
            if not (isinstance(key, ast.Constant) and key.value == name):
                continue
            if isinstance(value, ast.Name):
                return next(_find(place, package, value.id), None)
            if isinstance(value, ast.Constant):
                return tree.module(f"{package}.{str(value.value).partition('.')[0]}")
    return None
