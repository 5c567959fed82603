"""What a request changes in a suite: the methods, scenarios and seeds it names, and --set."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from benchmarks.request.errors import SettingsError
from benchmarks.request.suite_yaml import MOST_SEEDS, read_yaml
from methods import METHODS, Recipe
from models import ModelSettings
from scenarios import SCENARIOS
from scenarios.nearest import nearest, nearest_key

ROOTS = ("training", "model", "scenario", "methods")


def parse_seeds(text: str, problems: list[str]) -> list[int] | None:
    """ "5" is 0..4, "1,2,3" a list. Something else is added to `problems`, and None returned."""
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
        if not numbers or min(numbers) < 0 or ("," not in text and not 1 <= numbers[0] <= MOST_SEEDS):
            raise ValueError
        if len(set(numbers)) != len(numbers) or max(numbers) >= 2**63:
            raise ValueError
    except ValueError:
        problems.append(
            f"--seeds {text!r}: give a number of seeds (1 to {MOST_SEEDS:,}), e.g. 5, or a list without repetition, "
            "e.g. 1,2,3"
        )
        return None
    return numbers if "," in text else list(range(numbers[0]))


def parse_shard(text: str) -> tuple[int, int]:
    """k and n of "k/n". Raises SettingsError where `text` is something else."""
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise SettingsError([f"--shard {text}: say k/n with k from 1 to n, e.g. 2/8 for the second of eight parts"])
    return int(k), int(n)


def add_registered(methods: dict[str, dict[str, Any]], wanted: list[str]) -> None:
    """Adds to a suite's `methods` those of `wanted` that it has not and `list methods` has, with their defaults."""
    for name in wanted:
        if name in METHODS and not any(fnmatchcase(known, name) for known in methods):
            methods[name] = {}


def select(kind: str, known: dict[str, Any], wanted: list[str], suite: str, problems: list[str]) -> dict[str, Any]:
    """The entries of `known` that `wanted` names, shell patterns allowed; all where it names none that there is.

    So the rest of a wrong request is still checked.
    """
    if not wanted:
        problems.append(f"--{kind}s names none: leave it out for all of suite {suite}")
    chosen: dict[str, Any] = {}
    for name in wanted:
        matching = [k for k in known if fnmatchcase(k, name)]
        if not matching:
            others = METHODS if kind == "method" else ()
            problems.append(f"unknown {kind} {name!r} in suite {suite}{nearest(name, [*known, *others])}")
        chosen |= {k: known[k] for k in matching}
    return chosen or known


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
        near = nearest_key(key, _keys(document))
        hint = f"; did you mean {near!r}?" if near else f"; keys begin with {', '.join(ROOTS)}"
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
                target[part] = value
            else:
                target = target.setdefault(part, {})
    # A suite's overrides speak of single cells, yet what is said on the command line holds for all.
    overrides = document.get("overrides")
    for override in overrides if isinstance(overrides, list) else []:
        if not isinstance(override, dict):
            continue  # said when it is checked
        patterns = override.get("methods", ["*"])
        if method is not None and not any(isinstance(p, str) and fnmatchcase(method, p) for p in patterns):
            continue
        inner = override.get("method" if method is not None else root)
        for part in path[:-1]:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(path[-1], None)


def _keys(document: dict[str, Any]) -> Iterator[str]:
    """Every dotted key that --set takes for this suite."""
    yield from (f"training.{key}" for key in dotted_fields(Recipe))
    yield from (f"model.{key}" for key in dotted_fields(ModelSettings))
    streams = [scenario.get("stream") for scenario in document["scenarios"].values()]
    for stream in [SCENARIOS[s] for s in streams if isinstance(s, str) and s in SCENARIOS]:
        yield from (f"scenario.{key}" for key in dotted_fields(stream))
    for name, settings in document["methods"].items():
        base = settings.get("method", name)
        if isinstance(base, str) and base in METHODS:
            yield from (f"methods.{name}.{key}" for key in METHODS[base]().hyperparameters())


def dotted_fields(model: type[BaseModel]) -> list[str]:
    """Names of the fields of `model` and, after a dot, of the models inside them."""
    names = []
    for name, field in model.model_fields.items():
        names.append(name)
        names += [f"{name}.{inner}" for part in _models_in(field.annotation) for inner in dotted_fields(part)]
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models that a field may hold, also inside tuples and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
