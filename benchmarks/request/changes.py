"""--set: what a request changes in the settings of a suite."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from glob import escape
from typing import Any

import yaml

from benchmarks.request.keys import dotted_fields
from benchmarks.request.suite_yaml import merge_model, read_yaml
from methods import METHODS
from scenarios.nearest import nearest, nearest_setting
from scenarios.validation import with_validation

ROOTS = ("training", "model", "scenario", "methods")


def apply_change(document: dict[str, Any], change: str, problems: list[str]) -> None:
    """Carries out one --set: training.*, model.*, scenario.* (every scenario) or methods.NAME.*"""
    key, separator, text = change.partition("=")
    key = key.strip()
    root, *rest = key.split(".")
    if not separator or not all([root, *rest]):
        _refuse(change, "write dotted.key=value, e.g. training.epochs=1 or methods.er.buffer_size=200", problems)
    elif root in ("methods", "scenarios", "seeds") and not rest:
        _refuse(change, f"that is an option of its own, --{root}", problems)
    elif root not in ROOTS or len(rest) < (2 if root == "methods" else 1):
        hint = nearest_setting(key, _keys(document), f"keys begin with {', '.join(ROOTS)}")
        _refuse(change, f"no such setting{hint}", problems)
    elif root == "methods" and rest[0] not in document["methods"]:
        more = f"; --methods {rest[0]} adds it" if rest[0] in METHODS else nearest(rest[0], document["methods"])
        _refuse(change, f"unknown method {rest[0]!r} in suite {document['name']}{more}", problems)
    else:
        try:
            value = read_yaml(text)
        except yaml.YAMLError as error:
            _refuse(change, str(error), problems)
            return
        _assign(document, root, rest, value, change, problems)


def _refuse(change: str, why: str, problems: list[str]) -> None:
    problems.append(f"--set {change!r}: {why}")


def _assign(document: dict[str, Any], root: str, path: list[str], value: Any, change: str, problems: list[str]) -> None:
    method = path[0] if root == "methods" else None
    if method is not None:
        targets, path = [document["methods"][method]], path[1:]
    elif root == "scenario":
        targets = list(document["scenarios"].values())
    else:
        targets = [document.setdefault(root, {})]
    for target in targets:
        for n, part in enumerate(path):
            if not isinstance(target, dict):
                said = ".".join([root, *([method] if method else []), *path[:n]])
                _refuse(change, f"{said} is {target!r} and has no settings of its own", problems)
                return
            if n == len(path) - 1:
                changed = merge_model(target, {part: value}) if part == "backbone" else target | {part: value}
                target.clear()
                target.update(changed)
            else:
                target = target.setdefault(part, {})
    if method is not None:
        root, path = ("model", path[1:]) if path[0] == "model" and len(path) > 1 else ("method", path)
    if isinstance(document.get("overrides"), list):
        parts = [_without(override, document["methods"], method, root, path) for override in document["overrides"]]
        document["overrides"] = [override for found in parts for override in found]


def _without(override: Any, methods: Collection[str], method: str | None, root: str, path: list[str]) -> list[Any]:
    """An override without what a change says of `method`, or of all; then what the others had of it, in one of their own.

    A suite's overrides speak of single cells, yet what is said on the command line holds for all. (A network that a method
    has of its own is not what `model` says of all others.)
    """
    given = override.get("methods", ["*"]) if isinstance(override, dict) else None
    if not isinstance(given, list):
        return [override]  # said when it is checked
    names = [name for name in methods if any(fnmatchcase(name, p) for p in given if isinstance(p, str))]
    before = copy.deepcopy(override.get(root))
    if (method is not None and method not in names) or not _take_out(override.get(root), path):
        return [override]
    if (root, *path) == ("model", "backbone"):
        override[root].clear()  # of a network that is not trained
    others = [escape(name) for name in names if name != method]
    if method is None or not others:
        return [override]
    kept = {key: override[key] for key in ("scenarios", "why") if key in override}
    return [override, kept | {"methods": others, root: before}]


def _take_out(settings: Any, path: list[str]) -> bool:
    """Takes a setting out of settings; whether it was there."""
    for part in path[:-1]:
        settings = settings.get(part) if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or path[-1] not in settings:
        return False
    del settings[path[-1]]
    return True


def _keys(document: dict[str, Any]) -> Iterator[str]:
    """Every dotted key that --set takes for this suite."""
    from methods import Recipe
    from models import BACKBONES
    from scenarios import SCENARIOS

    yield from (f"training.{key}" for key in dotted_fields(Recipe))
    networks = {key: None for cls in BACKBONES.values() for key in dotted_fields(cls)}
    yield from (f"model.{key}" for key in networks)
    streams = [scenario.get("stream") for scenario in document["scenarios"].values()]
    for stream in [SCENARIOS[s] for s in streams if isinstance(s, str) and s in SCENARIOS]:
        yield from (f"scenario.{key}" for key in dotted_fields(with_validation(stream)))
    for name, settings in document["methods"].items():
        base = settings.get("method", name)
        if isinstance(base, str) and base in METHODS:
            yield from (f"methods.{name}.{key}" for key in METHODS[base]._hyperparameter_names())
            yield from (f"methods.{name}.model.{key}" for key in networks)
