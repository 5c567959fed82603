"""Files of suites: YAML without surprises, what a suite is `like`, and its short forms written out.

Nothing here imports torch, so that suites can be listed at once.
"""

from __future__ import annotations

import copy
import json
import re
import reprlib
from pathlib import Path
from typing import Any

import yaml

from benchmarks.request.catalogue import is_file, like_of, path_of, suite_names
from benchmarks.request.errors import SettingsError
from benchmarks.request.plugins import with_plugins
from scenarios.nearest import nearest

MOST_SEEDS = 10_000
"""More are taken for a slip of the pen."""


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number and a date is text, as everyone expects, and no key stands twice in a mapping."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                said = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                raise yaml.YAMLError(f"line {line}: the key {said} is not text; put a name in quotes")
            if key.value in lines:
                raise yaml.YAMLError(f"key {key.value!r} stands in line {lines[key.value]} and in line {line}")
            lines[key.value] = line
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """The document, of which JSON could be made. Raises yaml.YAMLError, whose text is one line."""
    try:
        document = yaml.load(text, _Loader)
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise yaml.YAMLError(f"{place}{said}") from None
    except yaml.YAMLError as error:
        raise yaml.YAMLError(" ".join(str(error).split())) from None
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # of PyYAML's constructors, and of json
        raise yaml.YAMLError(f"it holds what is neither text, number, list nor mapping ({error})") from None
    return document


def read_suite(name: str, chain: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The YAML of a suite by name or path; what it is `like` comes first, its own keys laid over it.

    Keys without a value are left out. chain: the files that are like this one. Raises SettingsError.
    """
    path = path_of(name)
    if not path.is_file():
        said = f"no file {name}" if is_file(name) else f"unknown suite {name!r}"
        raise SettingsError([said + nearest(name.removesuffix(".yaml"), suite_names())])
    if path.resolve() in chain:
        names = [p.stem for p in (*chain[chain.index(path.resolve()) :], path)]
        raise SettingsError([f"suite {chain[0].stem}: like: {' is like '.join(names)}: name a suite that stands alone"])
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError([f"{path} is not YAML: {error}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} cannot be read: {error}"]) from None
    if not isinstance(document, dict):
        raise SettingsError([f"{path} should be a mapping with title, seeds, scenarios, methods, ..."])
    document = with_plugins({key: value for key, value in document.items() if value is not None}, path)
    own, like = document, document.pop("like", None)
    if like is not None:
        if not isinstance(like, str):
            raise SettingsError([f"suite {path.stem}: like: {like!r} should be the name of a suite, or a YAML file"])
        base = read_suite(like_of(like, path), (*chain, path.resolve()))
        if "methods" in own:  # what was said of others' settings
            base = {key: value for key, value in base.items() if key != "chosen"}
        document = base | document
        for key, lay_over in (("model", merge_model), ("training", merge)):
            if isinstance(base.get(key), dict) and isinstance(own.get(key), dict):
                document[key] = lay_over(base[key], own[key])
        if isinstance(base.get("overrides"), list) and isinstance(own.get("overrides"), list):
            document["overrides"] = base["overrides"] + own["overrides"]
    return document | {"name": own.get("name", path.stem)}


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, mappings merged."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def merge_model(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it; where these name another backbone, without what that has no setting for."""
    backbone = changes.get("backbone")
    if backbone is not None and backbone != base.get("backbone"):
        from benchmarks.request.declarations import network_of

        declared = network_of(str(backbone))  # what is wrong with it is said when it is checked
        known = declared.fields if declared else []
        base = {key: value for key, value in base.items() if key in known}
    return merge(base, changes)


def written_out(document: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """`document` with the short forms of scenarios, methods and seeds written out.

    `settings: [task, class]` under a scenario becomes one scenario each; a list of methods has their defaults;
    `seeds: 5` becomes 0..4. What of the three is wrong is added to `problems` and left out, or replaced by seed 0.
    """
    document = copy.deepcopy(document)
    for key in ("selection", "scored", "scenario_seeds"):
        if document.pop(key, None) is not None:
            problems.append(f"{key}: no such setting" + ("; a scenario has its own `seeds`" if "seeds" in key else ""))
    document["scenarios"] = _scenarios(document.get("scenarios"), problems)
    document["methods"] = _methods(document.get("methods"), problems)
    document["scenario_seeds"] = {
        name: seed_list(scenario.pop("seeds"), f"scenarios.{name}.seeds", problems)
        for name, scenario in document["scenarios"].items()
        if "seeds" in scenario
    }
    document["seeds"] = seed_list(document.get("seeds"), "seeds", problems)
    _check_chosen(document, problems)
    return document


def _scenarios(given: Any, problems: list[str]) -> dict[str, dict[str, Any]]:
    example = "name: {stream: split, data: digits, settings: [task, class]}"
    if not isinstance(given, dict) or not given:
        problems.append(f"scenarios: there should be a mapping with at least one, e.g. {example}")
        return {}
    found: dict[str, dict[str, Any]] = {}
    for name, scenario in given.items():
        if not isinstance(scenario, dict):
            problems.append(f"scenarios.{name}: should be a mapping, e.g. {example}")
            continue
        parts = {name: scenario}
        if "settings" in scenario:
            settings = scenario["settings"]
            where = f"scenarios.{name}.settings"
            if "setting" in scenario:
                problems.append(f"{where}: there is a `setting` too; leave one of them out")
            if not isinstance(settings, list) or not settings or not all(isinstance(s, str) for s in settings):
                problems.append(f"{where}: {settings!r} should be a list, e.g. [task, domain, class]")
                settings = []
            problems += [f"{where}: {s!r} stands there twice" for s in _twice(settings)]
            rest = {key: value for key, value in scenario.items() if key != "settings"}
            # a copy each: --set changes them one by one
            parts = {f"{name}/{setting}": copy.deepcopy(rest) | {"setting": setting} for setting in settings}
        problems += [f"scenarios: {part!r} is there twice, once from `settings`" for part in parts if part in found]
        found |= parts
    return found


def _methods(given: Any, problems: list[str]) -> dict[str, dict[str, Any]]:
    if isinstance(given, list):
        named = [name for name in given if isinstance(name, str)]
        problems += [f"methods: {name!r} should be a name" for name in given if not isinstance(name, str)]
        problems += [f"methods: {name!r} stands there twice" for name in _twice(named)]
        if given:
            return {name: {} for name in named}
    if not isinstance(given, dict) or not given:
        problems.append("methods: there should be a list of names, e.g. [finetune, er], or a mapping of their settings")
        return {}
    problems += [
        f"methods.{name}: should be a mapping of its settings, or empty"
        for name, settings in given.items()
        if not (settings is None or isinstance(settings, dict))
    ]
    # a copy each: what stands in two of them by a YAML anchor is changed one by one
    return {n: copy.deepcopy(own or {}) for n, own in given.items() if own is None or isinstance(own, dict)}


def _check_chosen(document: dict[str, Any], problems: list[str]) -> None:
    """Says which methods of `chosen` there are not; a protocol's settings are those of its source."""
    chosen, methods, source = document.get("chosen"), document["methods"], document.get("source")
    if isinstance(chosen, dict):
        problems += [f"chosen.{name}: no such method{nearest(name, methods)}" for name in chosen if name not in methods]
    elif chosen is None and document.get("kind") == "protocol" and isinstance(source, str) and source.strip():
        open_ = "; what that leaves open this suite chose" if document.get("choices") else ""
        document["chosen"] = {name: {"paper": source.strip() + open_} for name in methods}


def seed_list(given: Any, where: str, problems: list[str]) -> list[int]:
    """A number of seeds or a list of them, as a suite may say it. What is wrong is added to `problems`, and [0] given."""
    if _is_seed(given) and 1 <= given <= MOST_SEEDS:
        return list(range(given))
    if isinstance(given, list) and given and all(map(_is_seed, given)):
        twice = _twice(given)
        if not twice:
            return given
        problems.append(f"{where}: {', '.join(map(str, twice))} stands there twice; each run counts once")
    else:
        said = "missing; give" if given is None else f"{reprlib.repr(given)} should be"
        problems.append(f"{where}: {said} a number of seeds (1 to {MOST_SEEDS:,}), e.g. 5, or a list, e.g. [1, 2, 3]")
    return [0]


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _twice(values: list[Any]) -> list[Any]:
    return [value for n, value in enumerate(values) if value in values[:n] and value not in values[n + 1 :]]
