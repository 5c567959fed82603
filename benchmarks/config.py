"""Suites and cells: typed, strict settings, and all that is wrong with them said at once."""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import to_jsonable_python

from benchmarks.names import check_name, check_scenario_name, file_name
from methods import METHODS, Recipe, method_class
from methods.base import Method, explain
from models import ModelSettings
from scenarios import SCENARIOS, SETTINGS, Stream

SUITES = Path(__file__).parent / "suites"


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as everyone expects; YAML 1.1 wants 1.0e-3."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """The document. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)


STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class SettingsError(ValueError):
    """Everything that is wrong with what was asked for; `problems` has a line each."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))


class MethodSettings(BaseModel):
    """A method by name, with all hyperparameters resolved."""

    model_config = STRICT
    name: str
    version: int
    settings: dict[str, Any]


class CellSettings(BaseModel):
    """One cell, fully resolved. The names are how a suite calls its scenario and method; the rest is identity."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    scenario_name: str
    method_name: str
    scenario: Stream
    method: MethodSettings
    model: ModelSettings
    training: Recipe
    seed: int

    def identity_settings(self) -> dict[str, Any]:
        """All that decides the result: no paths, device, worker count or names."""
        return {
            "scenario": self.scenario.model_dump(mode="json") | {"version": self.scenario.version},
            "method": self.method.model_dump(mode="json"),
            "model": self.model.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "seed": self.seed,
        }

    @cached_property
    def identity(self) -> str:
        return identity_of(self.identity_settings())

    @property
    def label(self) -> str:
        return f"{self.scenario_name} {self.method_name} seed {self.seed}"


def identity_of(settings: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of resolved settings.

    Settings that their class lists in `added_later` are left out where they have their default, which is what was done
    before there were any: so records stay valid when a setting is added.
    """
    told = {part: _without_added(part, values) for part, values in settings.items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _without_added(part: str, values: Any) -> Any:
    cls: Any = {"model": ModelSettings, "training": Recipe}.get(part)
    if part == "scenario":
        cls = SCENARIOS.get(values.get("stream"))
    if part == "method":
        cls = METHODS.get(values.get("name"))
        defaults = _method_defaults(cls) if cls else {}
        own = {k: v for k, v in values.get("settings", {}).items() if not _is_new(cls, k, v, defaults)}
        return values | {"settings": own} if cls else values
    if cls is None:
        return values
    defaults = {
        n: f.get_default(call_default_factory=True) for n, f in cls.model_fields.items() if n in cls.added_later
    }
    return {k: v for k, v in values.items() if not _is_new(cls, k, v, defaults)}


@cache
def _method_defaults(cls: type[Method]) -> dict[str, Any]:
    return cls().hyperparameters()


def _is_new(cls: Any, name: str, value: Any, defaults: dict[str, Any]) -> bool:
    return cls is not None and name in cls.added_later and value == to_jsonable_python(defaults[name])


class Override(BaseModel):
    """Settings for some cells only: shell patterns of scenario and method names."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scenarios: list[str] = ["*"]
    methods: list[str] = ["*"]
    method: dict[str, Any] = {}
    training: dict[str, Any] = {}
    model: dict[str, Any] = {}
    why: str = ""
    not_run: str = Field("", description="instead of settings: leave these cells out, for this reason")

    def matches(self, scenario: str, method: str) -> bool:
        return any(fnmatchcase(scenario, p) for p in self.scenarios) and any(
            fnmatchcase(method, p) for p in self.methods
        )


class Suite(BaseModel):
    """A named grid, as its YAML file says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str = Field(description="one line above the tables")
    about: str = Field("", description="a paragraph: what it measures, on what data")
    seeds: list[int] = Field(min_length=1)
    scenario_seeds: dict[str, list[int]] = Field(
        default_factory=dict, description="scenarios that have other seeds, from `seeds` in their own settings"
    )
    scenarios: dict[str, dict[str, Any]] = Field(min_length=1)
    methods: dict[str, dict[str, Any]] = Field(min_length=1)
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    overrides: list[Override] = []
    selection: str = Field("", description="how a request narrowed or changed the suite; empty for the whole of it")
    kind: Literal["benchmark", "smoke", "protocol"] = "benchmark"
    source: str = Field("", description="of a protocol: the publication that specifies it")
    choices: list[str] = Field(
        default_factory=list, description="a sentence for each thing that the source leaves open and this suite chose"
    )

    @field_validator("name")
    @classmethod
    def _name_is_a_folder(cls, name: str) -> str:
        return check_name(name, "suite")

    @field_validator("scenarios")
    @classmethod
    def _scenario_names(cls, scenarios: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        problems = _refused(check_scenario_name, scenarios)
        for name, settings in scenarios.items():
            last, setting = name.rpartition("/")[2], settings.get("setting")
            if last in SETTINGS and setting in SETTINGS and last != setting:
                problems.append(f"{name!r} has the setting {setting!r}: call it otherwise")
        files: dict[str, str] = {}
        for name in scenarios:
            other = files.setdefault(file_name(name), name)
            if other != name:
                problems.append(f"{other!r} and {name!r} would share files: call one of them otherwise")
        if problems:
            raise ValueError("; ".join(problems))
        return scenarios

    @field_validator("methods")
    @classmethod
    def _method_names(cls, methods: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        problems = _refused(lambda name: check_name(name, "method"), methods)
        for name, settings in methods.items():
            base = settings.get("method", name)
            if name in METHODS and base != name:
                problems.append(f"{name!r} is a method of its own, not {base!r}: call it otherwise")
        if problems:
            raise ValueError("; ".join(problems))
        return methods

    @model_validator(mode="after")
    def _protocol_has_source(self) -> Suite:
        if self.kind == "protocol" and not self.source.strip():
            raise ValueError("a suite of kind protocol names its `source`, the publication that specifies it")
        if not all(choice.strip() for choice in self.choices):
            raise ValueError("an entry of `choices` is empty: write a sentence or leave it out")
        return self

    def left_out(self, scenario: str, method: str) -> str:
        """Why the suite leaves this pair out; empty where it does not."""
        return next((o.not_run for o in self.overrides if o.not_run and o.matches(scenario, method)), "")

    def seeds_of(self, scenario: str) -> list[int]:
        return self.scenario_seeds.get(scenario, self.seeds)


def _refused(check: Callable[[str], object], names: Iterable[str]) -> list[str]:
    """What `check` says against the names that it refuses."""
    problems = []
    for name in names:
        try:
            check(name)
        except ValueError as error:
            problems.append(str(error))
    return problems


def suite_names() -> list[str]:
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def load_suite(
    name: str,
    methods: list[str] | None = None,
    scenarios: list[str] | None = None,
    seeds: str | list[int] | None = None,
    changes: list[str] | None = None,
) -> Suite:
    """The suite `name` (or a path to a YAML file), narrowed to the methods, scenarios and seeds named, with
    `changes` ("dotted.key=value") applied. Raises SettingsError."""
    document = _expand(_document(name))
    problems: list[str] = []
    if isinstance(seeds, str):
        seeds = parse_seeds(seeds, problems)
    for change in changes or []:
        _apply(document, change, problems)
    for kind, wanted in (("scenarios", scenarios), ("methods", methods)):
        if wanted is not None:
            known = document.get(kind) or {}
            # with nothing left of what was asked for, the rest of the request is still checked against the whole suite
            document[kind] = _select(kind.removesuffix("s"), known, wanted, name, problems) or known
    if seeds is not None:
        document["seeds"], document["scenario_seeds"] = seeds, {}
    asked = {"scenarios": scenarios, "methods": methods, "seeds": [str(s) for s in seeds] if seeds else None}
    parts = [f"{kind} {', '.join(values)}" for kind, values in asked.items() if values is not None]
    document["selection"] = "; ".join([*parts, *(changes or [])])
    try:
        suite = Suite(**document)
        resolve(suite)
    except ValidationError as error:
        problems += [f"suite {name}: {line}" for line in explain(error, list(Suite.model_fields))]
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return suite


def _document(name: str) -> dict[str, Any]:
    """The YAML of a suite by name or path; what it is `like` comes first, its own keys laid over it."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SUITES / f"{name}.yaml"
    if not path.is_file():
        raise SettingsError([f"unknown suite {name!r}{nearest(name, suite_names())}"])
    try:
        document = read_yaml(path.read_text())
    except yaml.YAMLError as error:
        raise SettingsError([f"{path} is not YAML: {error}"]) from None
    if not isinstance(document, dict):
        raise SettingsError([f"{path} should be a mapping with title, scenarios, methods, ..."])
    own, like = document, document.pop("like", None)
    if like is not None:
        base = _document(str(like))
        merged = {key: _merge(base.get(key) or {}, document.get(key) or {}) for key in ("model", "training")}
        overrides = [*(base.get("overrides") or []), *(document.get("overrides") or [])]
        document = base | document | merged | {"overrides": overrides}
    return document | {"name": own.get("name", path.stem)}


def resolve(suite: Suite) -> list[CellSettings]:
    """Every cell of the grid, seed by seed, so that an interrupted run has whole seeds. Raises SettingsError."""
    problems: list[str] = []
    streams = {name: _stream(name, settings, problems) for name, settings in suite.scenarios.items()}
    resolved: dict[tuple[str, str], dict[str, Any]] = {}
    for scenario in suite.scenarios:
        for method in suite.methods:
            resolved[scenario, method] = _resolve_pair(suite, scenario, method, problems)
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return [
        CellSettings(
            scenario_name=scenario,
            method_name=method,
            scenario=streams[scenario],
            seed=seed,
            **resolved[scenario, method],
        )
        for seed in sorted({seed for scenario in suite.scenarios for seed in suite.seeds_of(scenario)})
        for scenario in suite.scenarios
        if seed in suite.seeds_of(scenario)
        for method in suite.methods
    ]


def _resolve_pair(suite: Suite, scenario: str, method: str, problems: list[str]) -> dict[str, Any]:
    settings = copy.deepcopy(suite.methods[method]) or {}
    model, training = copy.deepcopy(suite.model), copy.deepcopy(suite.training)
    base = settings.pop("method", method)
    for override in suite.overrides:
        if override.matches(scenario, method):
            settings = _merge(settings, override.method)
            model = _merge(model, override.model)
            training = _merge(training, override.training)
    result: dict[str, Any] = {}
    try:
        cls = method_class(base)
        result["method"] = MethodSettings(
            name=base, version=cls.version, settings=cls.from_settings(settings).hyperparameters()
        )
    except ValueError as error:
        problems.extend(f"method {method}: {line}" for line in str(error).split("; "))
    for key, cls_, document in (("model", ModelSettings, model), ("training", Recipe, training)):
        try:
            result[key] = cls_.model_validate_json(json.dumps(document))
        except ValidationError as error:
            problems.extend(f"{key}.{line}" for line in explain(error, _field_names(cls_)))
    return result


def _stream(name: str, settings: dict[str, Any], problems: list[str]) -> Stream | None:
    settings = dict(settings)
    kind = settings.get("stream")
    if kind not in SCENARIOS:
        problems.append(f"scenario {name}: unknown stream {kind!r}{nearest(str(kind), list(SCENARIOS))}")
        return None
    try:
        return SCENARIOS[kind].model_validate_json(json.dumps(settings))
    except ValidationError as error:
        problems.extend(f"scenario {name}: {line}" for line in explain(error, _field_names(SCENARIOS[kind])))
        return None


def _field_names(model: type[BaseModel]) -> list[str]:
    """Names of the fields of `model` and of the models inside it."""
    names = list(model.model_fields)
    for f in model.model_fields.values():
        for inner in _models_in(f.annotation):
            names += _field_names(inner)
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models that a field may hold, also inside tuples and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _expand(document: dict[str, Any]) -> dict[str, Any]:
    """`settings: [task, class]` under a scenario becomes one scenario each; `seeds: 5` becomes 0..4."""
    document = copy.deepcopy(document)
    expanded: dict[str, Any] = {}
    for name, scenario in (document.get("scenarios") or {}).items():
        if isinstance(scenario, dict) and "settings" in scenario:
            for setting in scenario["settings"]:
                rest = {k: v for k, v in scenario.items() if k != "settings"}
                expanded[f"{name}/{setting}"] = rest | {"setting": setting}
        else:
            expanded[name] = scenario
    document["scenarios"] = expanded
    if isinstance(document.get("methods"), list):
        document["methods"] = {name: {} for name in document["methods"]}
    document["methods"] = {name: settings or {} for name, settings in (document.get("methods") or {}).items()}
    document["scenario_seeds"] = {
        name: _seed_list(scenario.pop("seeds"))
        for name, scenario in expanded.items()
        if isinstance(scenario, dict) and "seeds" in scenario
    }
    document["seeds"] = _seed_list(document.get("seeds"))
    return document


def parse_seeds(text: str, problems: list[str]) -> list[int] | None:
    """ "5" is 0..4, "1,2,3" a list. Something else is added to `problems`, and None returned."""
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
        if not numbers or min(numbers) < 0 or ("," not in text and numbers[0] == 0):
            raise ValueError
    except ValueError:
        problems.append(f"--seeds {text!r}: give a number of seeds, e.g. 5, or a list, e.g. 1,2,3")
        return None
    return list(dict.fromkeys(numbers)) if "," in text else list(range(numbers[0]))


def _seed_list(seeds: Any) -> Any:
    return list(range(seeds)) if isinstance(seeds, int) else seeds


def _apply(document: dict[str, Any], change: str, problems: list[str]) -> None:
    """Carries out one --set: training.*, model.*, scenario.* (every scenario) or methods.NAME.*"""
    key, separator, text = change.partition("=")
    parts = key.strip().split(".")
    if not separator or len(parts) < 2:
        problems.append(
            f"--set {change!r}: write dotted.key=value, e.g. training.epochs=1 or methods.er.buffer_size=200"
        )
        return
    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        problems.append(f"--set {change!r}: {error}")
        return
    root = parts[0]
    if root in ("training", "model"):
        targets = [document.setdefault(root, {})]
        rest = parts[1:]
    elif root == "scenario":
        targets, rest = list(document["scenarios"].values()), parts[1:]
    elif root == "methods":
        if len(parts) < 3 or parts[1] not in document["methods"]:
            problems.append(
                f"--set {change!r}: unknown method {parts[1]!r}{nearest(parts[1], list(document['methods']))}"
            )
            return
        targets, rest = [document["methods"][parts[1]]], parts[2:]
    else:
        roots = ["training", "model", "scenario", "methods"]
        problems.append(f"--set {change!r}: no such part {root!r}{nearest(root, roots)}; one of {', '.join(roots)}")
        return
    for target in targets:
        for part in rest[:-1]:
            target = target.setdefault(part, {})
        target[rest[-1]] = value
    # A suite's overrides speak of single cells, yet what is said on the command line holds for all.
    for override in document.get("overrides") or []:
        inner = override.get("method" if root == "methods" else root) or {}
        if root != "methods" or any(fnmatchcase(parts[1], p) for p in override.get("methods", ["*"])):
            inner.pop(rest[0], None)


def _select(kind: str, known: dict[str, Any], wanted: list[str], suite: str, problems: list[str]) -> dict[str, Any]:
    """The entries of `known` that `wanted` names, shell patterns allowed."""
    chosen: dict[str, Any] = {}
    for name in wanted:
        matching = [k for k in known if fnmatchcase(k, name)]
        if not matching:
            hint = nearest(name, list(known))
            if kind == "method" and name in METHODS and not hint:
                hint = f"; add it under `methods` in the suite's file (it has {', '.join(known)})"
            problems.append(f"unknown {kind} {name!r} in suite {suite}{hint}")
        chosen |= {k: known[k] for k in matching}
    return chosen


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, mappings merged."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def nearest(name: str, known: list[str]) -> str:
    """ "; did you mean 'x'?" for the known name most like `name`, or the whole list where it is short."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(known)}" if len(known) <= 20 else ""
