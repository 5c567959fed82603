"""What methods and streams declare, read off their sources: to list them takes no torch, which takes longer than all else."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from methods import METHODS, WHERE

SHOWN = ("about", "family", "source", "needs_task_id", "sees_past_data")
"""The class attributes that are told of a method."""


@dataclass
class Declared:
    """attributes: those of SHOWN, by name; hyperparameters: name -> default, about and source."""

    attributes: dict[str, Any] = field(default_factory=dict)
    hyperparameters: dict[str, dict[str, Any]] = field(default_factory=dict)


def declared(name: str) -> Declared:
    """What the method `name` of METHODS declares. Where its source says it by more than literals, its class is asked."""
    try:
        module, _, cls = WHERE[name].partition(".")
        return _read(f"methods.{module}", cls)
    except (ValueError, KeyError):
        return of_class(METHODS[name])


def of_class(cls: Any) -> Declared:
    """The same of a class."""
    return Declared(
        {name: getattr(cls, name) for name in SHOWN}, {f.name: {"default": f.default} | f.metadata for f in fields(cls)}
    )


@cache
def _read(module: str, name: str) -> Declared:
    """Of a class as its module has it, itself or from another. Raises ValueError or KeyError where it cannot be read."""
    tree = _tree(module)
    imported = {a.asname or a.name: (str(n.module), a.name) for n in _all(tree, ast.ImportFrom) for a in n.names}
    classes = {node.name: node for node in _all(tree, ast.ClassDef)}
    if name not in classes:
        return _read(*imported[name])
    constants = {n.targets[0].id: n.value for n in _all(tree, ast.Assign) if isinstance(n.targets[0], ast.Name)}
    found = Declared()
    for base in classes[name].bases:
        above = _read(module, ast.unparse(base))
        found.attributes |= above.attributes
        found.hyperparameters |= above.hyperparameters
    for node in classes[name].body:
        if isinstance(node, ast.Assign):
            key = ast.unparse(node.targets[0])
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            key = ast.unparse(node.target)
            if not ast.unparse(node.annotation).startswith("ClassVar"):
                found.hyperparameters[key] = _hyper(node.value, constants)
        else:
            continue
        if key in SHOWN:
            found.attributes[key] = _value(node.value, constants)
    return found


def _hyper(node: ast.expr, constants: dict[str, ast.expr]) -> dict[str, Any]:
    """The arguments of a call of `hyper`."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "hyper":
        raise ValueError(ast.unparse(node))
    given = dict(zip(("default", "about", "source"), node.args)) | {str(k.arg): k.value for k in node.keywords}
    return {"source": ""} | {key: _value(value, constants) for key, value in given.items()}


@dataclass
class Settings:
    """A class of settings. about: the first line of its docstring; fields: name -> default, unless one must be given, and
    about."""

    about: str = ""
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)


@cache
def settings(module: str, name: str) -> Settings:
    """Of a pydantic class of `module`. Raises ValueError where a default is more than a literal."""
    tree = _tree(module)
    classes = {node.name: node for node in _all(tree, ast.ClassDef)}
    if name not in classes:
        imported = {a.asname or a.name: (str(n.module), a.name) for n in _all(tree, ast.ImportFrom) for a in n.names}
        return Settings() if imported[name][0] == "pydantic" else settings(*imported[name])
    found = Settings((ast.get_docstring(classes[name]) or "").partition("\n")[0])
    for base in classes[name].bases:
        found.fields |= settings(module, ast.unparse(base)).fields
    for node in classes[name].body:
        if isinstance(node, ast.AnnAssign) and not ast.unparse(node.annotation).startswith("ClassVar"):
            found.fields[ast.unparse(node.target)] = _field(node.value)
    return found


def settings_of(cls: Any) -> Settings:
    """The same of a class, as a plug-in has it."""
    told = {key: {"about": f.description or ""} for key, f in cls.model_fields.items()}
    defaults = {key: {"default": f.default} for key, f in cls.model_fields.items() if not f.is_required()}
    about = (cls.__doc__ or "").strip().partition("\n")[0]
    return Settings(about, {key: defaults.get(key, {}) | text for key, text in told.items()})


def assigned(module: str, name: str) -> ast.expr:
    """What stands behind `name = ` in `module`."""
    nodes = [n for n in _tree(module).body if isinstance(n, (ast.Assign, ast.AnnAssign))]
    values = {ast.unparse(n.targets[0] if isinstance(n, ast.Assign) else n.target): n.value for n in nodes}
    found = values[name]
    assert found is not None
    return found


def _field(node: ast.expr | None) -> dict[str, Any]:
    """Default and description of a pydantic field."""
    if not isinstance(node, ast.Call):
        return {} if node is None else {"default": ast.literal_eval(node)}
    keywords = {str(k.arg): k.value for k in node.keywords}
    given = dict(zip(("default",), node.args)) | {k: keywords[k] for k in ("default", "description") if k in keywords}
    return {{"description": "about"}.get(key, key): _constant(value) for key, value in given.items()}


def _constant(node: ast.expr) -> Any:
    """A literal, perhaps with arithmetic in it: 3 / 4."""
    if any(isinstance(part, (ast.Call, ast.Name)) for part in ast.walk(node)):
        raise ValueError(ast.unparse(node))
    return eval(compile(ast.Expression(node), "<default>", "eval"), {"__builtins__": {}})


@cache
def _tree(module: str) -> ast.Module:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise KeyError(module)
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _all(tree: ast.Module, kind: type) -> list[Any]:
    return [node for node in tree.body if isinstance(node, kind)]


def _value(node: ast.expr, constants: dict[str, ast.expr]) -> Any:
    """A literal, or a text with constants of its module in it. Raises ValueError or KeyError for anything else."""
    if not isinstance(node, ast.JoinedStr):
        return ast.literal_eval(node)
    parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
    return "".join(str(ast.literal_eval(constants[p.id] if isinstance(p, ast.Name) else p)) for p in parts)
