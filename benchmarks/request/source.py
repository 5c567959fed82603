"""The source that decides a cell: its method's module, its stream's, its network's and the core's, with all that they
import.

An edit of one of these files may change the cell's numbers, which its settings do not tell; so a record carries a hash
of each (of the code: comments, docstrings and blank lines decide nothing). Read off the files, not off the modules:
so it can be told of any commit too.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import subprocess
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from benchmarks.request.repository import ROOT, commit, git, repository
from benchmarks.request.suite import CellSettings
from methods import METHODS, Method
from models import BACKBONES, ModelSettings, kind_of
from scenarios import SCENARIOS, Stream

PACKAGES = ("benchmarks", "methods", "metrics", "models", "scenarios")
CORE = tuple(
    f"benchmarks.cell.{name}" for name in ("run", "fit", "evaluate", "features", "matmul_backend", "checkpoint")
)
"""What runs a cell. The rest of `benchmarks` says which cells there are and keeps what they leave: it is not followed."""
FORMER_CORE = tuple(f"benchmarks.{name}" for name in ("run", "fit", "evaluate", "products", "checkpoint"))
"""The same at older commits, of which there are records."""
REGISTRIES = {
    ("methods/__init__.py", "METHODS"),
    ("methods/__init__.py", "method_class"),
    ("scenarios/__init__.py", "SCENARIOS"),
    ("models/__init__.py", "BACKBONES"),
}
"""How a class is found by its name. Not followed either, or every method would decide the cells of every other."""

Source = dict[str, str]
"""File -> hash of its code."""


class Tree:
    """Python files by their path in a repository ("methods/er.py"): all as they are given or, under `root`, as they are
    asked for. project: where a file outside of the project finds the project's packages. package: the one that imports
    are followed in, where others lie beside it."""

    def __init__(
        self,
        files: dict[str, str] | None = None,
        root: Path | None = None,
        project: Tree | None = None,
        package: str = "",
    ):
        self.files: dict[str, str | None] = dict(files or {})
        self.root, self.project, self.package = root, project, package

    def text(self, path: str) -> str | None:
        """The text of a file; None where there is none."""
        if path not in self.files and self.root is not None:
            try:
                self.files[path] = (self.root / path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                self.files[path] = None
        return self.files.get(path)

    def module(self, name: str, beside: str = "") -> Place | None:
        """The file of a module ("methods.er") that the file `beside` imports; None where it is not of this tree."""
        first = name.split(".")[0]
        if first == "benchmarks" and beside:
            return None
        if self.project is not None and first in PACKAGES:
            return self.project.module(name)
        if self.package and first != self.package:
            return None
        # as Python looks: beside a file that was run by itself, and above a package
        folders = (str(PurePosixPath(beside).parent), self.above(beside)) if self.project else (".",)
        for folder in dict.fromkeys(folders):
            for ending in (".py", "/__init__.py"):
                path = str(PurePosixPath(folder, name.replace(".", "/") + ending))
                if self.text(path) is not None:
                    return Place(self, path)
        return None

    def above(self, path: str) -> str:
        """The folder that holds the outermost package of a file."""
        folder = PurePosixPath(path).parent
        while self.text(str(folder / "__init__.py")) is not None and folder != folder.parent:
            folder = folder.parent
        return str(folder)


class Place(NamedTuple):
    """A module's file or, of a package's own file, what one of its names needs."""

    tree: Tree
    path: str
    name: str = ""


def source_of(method: str, stream: str, backbone: str = "mlp") -> Source:
    """The source that decides the cells of a method, a stream and a backbone, by their names; as it was when this process
    began."""
    # mypy holds what is said of instances, which are dataclasses, against the class
    return dict(_source_of(METHODS[method], SCENARIOS[stream], BACKBONES[backbone]))  # type: ignore[arg-type]


def source_of_cell(cell: CellSettings) -> Source:
    """The same for a cell."""
    return source_of(*names_of(cell))


def names_of(cell: CellSettings) -> tuple[str, str, str]:
    """The names of a cell's method, stream and backbone in their registries."""
    return cell.method.name, cell.scenario.model_dump(include={"stream"})["stream"], kind_of(cell.model.backbone)


@cache
def _source_of(method: type[Method], stream: type[Stream], network: type[ModelSettings]) -> Source:
    return hashes([*_core(HERE), *(place_of(cls) for cls in (method, stream, network))])


@cache
def source_at(commit: str, method: str, stream: str, backbone: str = "mlp") -> Source | None:
    """The same at a commit of this repository; None where that cannot be told: uncommitted changes, no such history.

    Older commits have no list of backbones: there all of them decide each cell.
    """
    tree = tree_at(commit)
    if tree is None:
        return None
    places = [_registered(tree, "methods", "METHODS", method), _registered(tree, "scenarios", "SCENARIOS", stream)]
    found = [place for place in places if place is not None]
    if len(found) < len(places):
        return None
    network = _registered(tree, "models", "BACKBONES", backbone)
    return hashes([*_core(tree), *found, *([network] if network else [])])


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


def place_of(cls: type) -> Place:
    """Where a class is defined. Of the project's own files the text is that which this process began with."""
    if found := HERE.module(cls.__module__):
        return found
    try:
        file = Path(inspect.getfile(cls)).resolve()
    except (OSError, TypeError):  # typed at a prompt
        return Place(Tree({cls.__module__: cls.__qualname__}), cls.__module__)
    return Place(*_outside(file))


def commits_of(method: type[Method]) -> dict[str, str | None]:
    """Of a record's environment: the commit of the repository that the method is of; with "retain", this project's own,
    where that is another."""
    place, own = place_of(method), commit()
    if place.tree is HERE:
        return {"commit": own}
    theirs = commit(place.tree.root / place.path) if place.tree.root else None
    return {"commit": theirs} | ({"retain": own} if own != theirs else {})


def _outside(file: Path) -> tuple[Tree, str]:
    """The repository of a file that is none of the project's; without one, the folder above its package."""
    top = file.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    package = file.relative_to(top).parts[0].removesuffix(".py")
    root = repository(file)
    # beside an installed package lie all others
    return Tree(root=root or top, project=HERE, package="" if root else package), file.relative_to(
        root or top
    ).as_posix()


def _name(place: Place) -> str:
    own = place.tree.project is not None and place.path.split("/")[0] in PACKAGES
    return f"own:{place.path}" if own else place.path


def _core(tree: Tree) -> list[Place]:
    return [place for place in map(tree.module, (*CORE, *FORMER_CORE)) if place is not None]


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
    for statement in module.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            imported |= {alias.asname or alias.name: statement for alias in statement.names}
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined[statement.name] = statement
        else:
            names = [n.id for n in nodes(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            defined |= dict.fromkeys(names, statement)
    return imported, defined


@cache
def parse(text: str) -> ast.Module:
    """The syntax tree; an empty one where there is none: what cannot be imported imports nothing."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


@cache
def nodes(tree: ast.AST) -> list[ast.AST]:
    """All of a syntax tree."""
    return list(ast.walk(tree))


@cache
def hash_of(text: str, package: bool = False) -> str:
    """16 hex digits of the code in `text`. package: of a package's own file, whose list of what the package offers
    (imports, __all__) decides nothing."""
    return hashlib.sha256("\n".join(code_lines(text, package)).encode()).hexdigest()[:16]


def code_lines(text: str, package: bool = False) -> list[str]:
    """The lines of `text` without comments, docstrings and blank lines. By the places that `ast` and `tokenize` give, not
    by their own rendering of the code, which differs from one Python to the next."""
    module = parse(text)
    if not module.body:
        return text.split("\n")
    lines = [line.encode() for line in text.split("\n")]  # columns count bytes
    dropped = [n for n in nodes(module) if isinstance(n, ast.Expr) and _is_docstring(n)]
    offers = [n for n in module.body if _is_offer(n)] if package else []
    cuts = [(n.lineno, n.col_offset, n.end_lineno or n.lineno, n.end_col_offset) for n in (*dropped, *offers)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            cuts.append((line, len(token.line[:column].encode()), line, None))
    # blank lines inside of a text are part of it
    starts = {cut[:2] for cut in cuts}
    texts = [n for n in nodes(module) if isinstance(n, (ast.Constant, ast.JoinedStr))]
    kept = {
        line
        for n in texts
        if (n.lineno, n.col_offset) not in starts
        for line in range(n.lineno, n.end_lineno or n.lineno)
    }
    for first, start, last, end in sorted(cuts, key=lambda cut: cut[:2], reverse=True):
        after = b"" if end is None else lines[last - 1][end:]
        lines[first - 1] = lines[first - 1][:start] + after
        for line in range(first, last):
            lines[line] = b""
    return [
        line.decode() if n in kept else line.decode().rstrip()
        for n, line in enumerate(lines, 1)
        if line.strip() or n in kept
    ]


def _is_docstring(node: ast.Expr) -> bool:
    """A text that is a statement does nothing: a docstring of a module, class, function or attribute."""
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_offer(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not any(alias.asname for alias in node.names)
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)


def _registered(tree: Tree, package: str, registry: str, name: str) -> Place | None:
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


def tree_here(root: Path = ROOT) -> Tree:
    """The project's files as they are now."""
    paths = (path for package in PACKAGES for path in sorted((root / package).rglob("*.py")))
    return Tree({path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths})


@cache
def tree_at(commit: str, root: Path = ROOT) -> Tree | None:
    """The project's files at a commit; None where the history does not have it, or there is none."""
    try:
        listed = git(root, "ls-tree", "-r", "-z", commit, "--", *PACKAGES)
        files = {line.partition("\t")[2]: line.split()[2] for line in listed.split("\0") if line.endswith(".py")}
        blobs = subprocess.run(
            ["git", "-C", str(root), "cat-file", "--batch"],
            input="\n".join(files.values()).encode(),
            check=True,
            capture_output=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    texts, at = {}, 0
    for path in files:  # a line "id type size", then so many bytes and a newline
        start = blobs.index(b"\n", at) + 1
        size = int(blobs[at:start].split()[2])
        texts[path] = blobs[start : start + size].decode().replace("\r\n", "\n")
        at = start + size + 1
    return Tree(texts) if texts else None


HERE = tree_here()
"""As this module was imported: who edits a file while a grid runs gets records of the code that ran."""
