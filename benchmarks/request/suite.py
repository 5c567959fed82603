"""Suites and cells: typed, strict settings, and all that is wrong with them said at once."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cache, cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import to_jsonable_python

from benchmarks.request.names import check_name, check_scenario_name, file_name
from benchmarks.request.selection import add_registered, apply_change, dotted_fields, parse_seeds, select
from benchmarks.request.suite_yaml import SUITES as SUITES
from benchmarks.request.suite_yaml import SettingsError, merge, merge_model, read_suite, written_out
from benchmarks.request.suite_yaml import read_yaml as read_yaml
from benchmarks.request.suite_yaml import suite_names as suite_names
from methods import METHODS, Recipe, method_class
from methods.core.method import Method, explain
from models import BACKBONES, ModelSettings, kind_of, model_settings
from scenarios import DATASETS, SCENARIOS, SETTINGS, Stream, layout_for, resolve_head
from scenarios.datasets import FOLDER, in_files
from scenarios.nearest import nearest

MOST_TASKS = 10_000

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


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
    before there were any (or else stands in `former_values`): so records stay valid when a setting is added.
    """
    return hashlib.sha256(json.dumps(relevant(settings), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def relevant(settings: dict[str, Any]) -> dict[str, Any]:
    """Resolved settings as identities have them: without those that were added later and have their default."""
    return {part: _without_added(part, values) for part, values in settings.items()}


def _without_added(part: str, values: Any) -> Any:
    cls: Any = Recipe if part == "training" else None
    if part == "model":
        cls = BACKBONES.get(kind_of(str(values.get("backbone"))))
    if part == "scenario":
        cls = SCENARIOS.get(values.get("stream"))
    if part == "method":
        cls = METHODS.get(values.get("name"))
        defaults = _method_defaults(cls) if cls else {}
        own = {k: v for k, v in values.get("settings", {}).items() if not _is_new(cls, k, v, defaults)}
        return values | {"settings": own} if cls else values
    if cls is None:
        return values
    defaults = _added_defaults(cls, cls.added_later)
    former = getattr(cls, "former_values", {})
    values = getattr(cls, "always_in_identity", {}) | values
    left_out: frozenset[str] = getattr(cls, "not_in_identity", frozenset())
    return {
        k: v
        for k, v in values.items()
        if not (k in left_out or _is_new(cls, k, v, defaults) or (k in former and v == former[k]))
    }


@cache
def _added_defaults(cls: Any, added: frozenset[str]) -> dict[str, Any]:
    return {n: f.get_default(call_default_factory=True) for n, f in cls.model_fields.items() if n in added}


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
    scenarios: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]
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
        self.check_protocol()
        return self

    def check_protocol(self) -> None:
        """Raises ValueError where a protocol does not say whose it is, or a choice is empty."""
        if self.kind == "protocol" and not self.source.strip():
            raise ValueError("a suite of kind protocol names its `source`, the publication that specifies it")
        if not all(choice.strip() for choice in self.choices):
            raise ValueError("an entry of `choices` is empty: write a sentence or leave it out")

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


def load_suite(
    name: str,
    methods: list[str] | None = None,
    scenarios: list[str] | None = None,
    seeds: str | list[int] | None = None,
    changes: list[str] | None = None,
) -> Suite:
    """The suite `name` (or a path to a YAML file), narrowed to the methods, scenarios and seeds named, with
    `changes` ("dotted.key=value") applied. Raises SettingsError with everything that is wrong with it.

    `methods` may name, beside the suite's own, any method there is: it then has its defaults.
    """
    shape: list[str] = []
    document = written_out(read_suite(name), shape)
    problems = [f"suite {name}: {line}" for line in shape]
    if isinstance(seeds, str):
        seeds = parse_seeds(seeds, problems)
    add_registered(document["methods"], methods or [])
    for change in changes or []:
        apply_change(document, change, problems)
    for kind, wanted in (("scenario", scenarios), ("method", methods)):
        if wanted is not None:
            document[f"{kind}s"] = select(kind, document[f"{kind}s"], wanted, name, problems)
    if seeds is not None:
        document["seeds"], document["scenario_seeds"] = seeds, {}
    asked = {"scenarios": scenarios, "methods": methods, "seeds": [str(s) for s in seeds] if seeds else None}
    parts = [f"{kind} {', '.join(values)}" for kind, values in asked.items() if values is not None]
    document["selection"] = "; ".join([*parts, *(changes or [])])
    suite = _checked(document, name, problems)
    try:
        resolve(suite)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return suite


def _checked(document: dict[str, Any], name: str, problems: list[str]) -> Suite:
    """The suite of `document`; what is wrong is added to `problems` and left out, so that the rest can be checked."""
    try:
        return Suite(**document)
    except ValidationError as error:
        problems += [f"suite {name}: {line}" for line in explain(error, dotted_fields(Suite))]
        wrong = {e["loc"][:2] if e["loc"][:1] == ("overrides",) else e["loc"][:1] for e in error.errors()}
    overrides = document.pop("overrides", [])
    own = {"scenarios", "methods", "seeds", "scenario_seeds"}  # only their names can still be wrong
    right = {key: value for key, value in document.items() if (key,) not in wrong or key in own}
    if isinstance(overrides, list):
        good = [o for n, o in enumerate(overrides) if ("overrides", n) not in wrong]
        right["overrides"] = [Override.model_validate(o) for o in good]
    suite = Suite.model_construct(**right)
    if () not in wrong:  # not looked at where a field is wrong
        try:
            suite.check_protocol()
        except ValueError as error:
            problems.append(f"suite {name}: {error}")
    return suite


def resolve(suite: Suite) -> list[CellSettings]:
    """Every cell of the grid, seed by seed, so that an interrupted run has whole seeds. Raises SettingsError."""
    problems: list[str] = []
    streams: dict[str, Stream | None] = {}
    wrong: dict[str, list[str]] = {}
    for name, settings in suite.scenarios.items():
        lines: list[str] = []
        streams[name] = _stream(settings, lines)
        for line in lines:
            wrong.setdefault(line, []).append(name)
    problems += [f"scenario {', '.join(names)}: {line}" for line, names in wrong.items()]
    alone: list[str] = []
    _resolve_parts(suite.model, suite.training, alone)
    if not (suite.scenarios and suite.methods):
        problems += alone
    resolved: dict[tuple[str, str], dict[str, Any]] = {}
    overridden: dict[str, list[str]] = {}
    for scenario in suite.scenarios:
        for method in suite.methods:
            lines = []
            pair = resolved[scenario, method] = _resolve_pair(suite, scenario, method, problems, lines)
            for line in lines:
                if line in alone:
                    problems.append(line)
                else:
                    overridden.setdefault(line, []).append(f"{scenario} {method}")
            stream = streams[scenario]
            if stream and "method" in pair and "model" in pair and not misfit(suite, scenario, method, stream, pair):
                try:
                    resolve_head(_layout(stream), pair["model"].head)
                except ValueError as error:
                    problems.append(f"{scenario}: {error}")
    for line, pairs in overridden.items():
        more = f" and {len(pairs) - 1} more" if len(pairs) > 1 else ""
        problems.append(f"{line} (with `overrides`, of {pairs[0]}{more})")
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


def misfit(suite: Suite, scenario: str, method: str, stream: Stream, pair: dict[str, Any]) -> str | None:
    """Why this pair has no cell, whose method is `pair["method"]`; None or empty where it has."""
    return METHODS[pair["method"].name].misfit(_layout(stream)) or suite.left_out(scenario, method)


def _layout(stream: Stream):
    # only the setting matters here, so two tasks of one class stand for the real ones
    return layout_for(stream.setting, [1, 1], stream.active_outputs)


def _resolve_pair(suite: Suite, scenario: str, method: str, problems: list[str], of_parts: list[str]) -> dict[str, Any]:
    """The method, model and training of a cell, as far as they are right.

    What is wrong is added to `problems`, of model and training to `of_parts`.
    """
    settings = copy.deepcopy(suite.methods[method])
    model, training = copy.deepcopy(suite.model), copy.deepcopy(suite.training)
    base, own_model = settings.pop("method", method), settings.pop("model", {})
    if isinstance(own_model, dict):
        model = merge_model(model, own_model)
    else:
        problems.append(f"method {method}: model: {own_model!r} should be a mapping, e.g. {{backbone: resnet18}}")
    for override in suite.overrides:
        if override.matches(scenario, method):
            settings = merge(settings, override.method)
            model = merge_model(model, override.model)
            training = merge(training, override.training)
    result = _resolve_parts(model, training, of_parts)
    if not isinstance(base, str):
        problems.append(f"method {method}: method: {base!r} should be the name of a method")
        return result
    try:
        cls = method_class(base)
        if "model" in result:
            cls.check_backbone(result["model"])
        result["method"] = MethodSettings(
            name=base, version=cls.version, settings=cls.from_settings(settings).hyperparameters()
        )
    except ValueError as error:
        problems.extend(f"method {method}: {line}" for line in str(error).splitlines())
    return result


def _resolve_parts(model: dict[str, Any], training: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    try:
        result["model"] = model_settings(model)
    except ValidationError as error:
        problems.extend(explain(error, dotted_fields(BACKBONES[kind_of(model.get("backbone", "mlp"))]), within="model"))
    except ValueError as error:
        problems.append(f"model: {error}")
    try:
        result["training"] = Recipe.model_validate_json(json.dumps(training))
    except ValidationError as error:
        problems.extend(explain(error, dotted_fields(Recipe), within="training"))
    return result


def _stream(settings: dict[str, Any], problems: list[str]) -> Stream | None:
    kind = settings.get("stream")
    if not isinstance(kind, str) or kind not in SCENARIOS:
        said = "stream: missing" if kind is None else f"unknown stream {kind!r}"
        problems.append(f"{said}{nearest(str(kind), SCENARIOS)}")
        return None
    try:
        stream = SCENARIOS[kind].model_validate_json(json.dumps(settings))
    except ValidationError as error:
        problems.extend(explain(error, dotted_fields(SCENARIOS[kind])))
        return None
    if stream.data not in DATASETS and not in_files(stream.data):
        hint = nearest(stream.data, DATASETS, f"known: {', '.join(DATASETS)}, {FOLDER}NAME")
        problems.append(f"data: unknown data set {stream.data!r}{hint}")
    if stream.tasks > MOST_TASKS:
        problems.append(f"tasks: {stream.tasks} is more than the {MOST_TASKS:,} that a matrix can be kept of")
    return stream
