"""Suites and cells: typed and strict."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmarks.request import declarations
from benchmarks.request.identity import hash_of, relevant
from benchmarks.request.keys import dotted_fields
from benchmarks.request.names import check_name, check_scenario_name, file_name
from benchmarks.request.plugins import Plugin, include_all, included
from benchmarks.request.tuned import FromPaper, Tuned
from benchmarks.request.validation import has_validation
from methods import METHODS
from methods.core.hyperparameters import explain

if TYPE_CHECKING:
    from methods import Recipe
    from models import ModelSettings
    from scenarios import Stream

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class MethodSettings(BaseModel):
    """A method by name, with all hyperparameters resolved."""

    model_config = STRICT
    name: str
    version: int
    settings: dict[str, Any]


def scenario_settings(stream: Stream) -> dict[str, Any]:
    """What of a stream decides results: all of its settings, but for the place of its data."""
    from scenarios.own_names import without_folder

    settings = stream.model_dump(mode="json") | {"version": stream.version}
    return settings | {"data": without_folder(stream.data)}


class Resolved:
    """All settings of a cell but its seed, the same object for all seeds. document: as JSON, as identities and records have
    them; typed, which takes torch, when first asked for."""

    def __init__(self, document: dict[str, Any]):
        self.document = document

    @classmethod
    def of(cls, scenario: Stream, method: MethodSettings, model: ModelSettings, training: Recipe) -> Self:
        from scenarios.own_names import offer

        offer(scenario.data)
        found = cls(
            {
                "scenario": scenario_settings(scenario),
                "method": method.model_dump(mode="json"),
                "model": model.model_dump(mode="json"),
                "training": training.model_dump(mode="json"),
            }
        )
        vars(found).update(scenario=scenario, method=method, model=model, training=training)
        return found

    @cached_property
    def scenario(self) -> Stream:
        from scenarios import SCENARIOS
        from scenarios.validation import with_validation

        document = {key: value for key, value in self.document["scenario"].items() if key != "version"}
        cls = SCENARIOS[document["stream"]]
        return (with_validation(cls) if has_validation(document) else cls).model_validate_json(json.dumps(document))

    @cached_property
    def method(self) -> MethodSettings:
        return MethodSettings(**self.document["method"])

    @cached_property
    def model(self) -> ModelSettings:
        from models import model_settings

        return model_settings(self.document["model"])

    @cached_property
    def training(self) -> Recipe:
        from methods import Recipe

        return Recipe.model_validate_json(json.dumps(self.document["training"]))

    @cached_property
    def relevant(self) -> dict[str, Any]:
        """What of the document is part of identities."""
        return relevant(self.document)


@dataclass(frozen=True, eq=False)
class CellSettings:
    """One cell, fully resolved. The names are how a suite calls its scenario and method; the rest is identity."""

    scenario_name: str
    method_name: str
    resolved: Resolved
    seed: int

    @property
    def scenario(self) -> Stream:
        return self.resolved.scenario

    @property
    def method(self) -> MethodSettings:
        return self.resolved.method

    @property
    def model(self) -> ModelSettings:
        return self.resolved.model

    @property
    def training(self) -> Recipe:
        return self.resolved.training

    def identity_settings(self) -> dict[str, Any]:
        """All that decides the result: no paths, device, worker count or names."""
        return copy.deepcopy(self.resolved.document) | {"seed": self.seed}

    @cached_property
    def identity(self) -> str:
        return hash_of(self.resolved.relevant | {"seed": self.seed})

    @property
    def label(self) -> str:
        return f"{self.scenario_name} {self.method_name} seed {self.seed}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CellSettings) and (self.label, self.identity) == (other.label, other.identity)

    def __hash__(self) -> int:
        return hash(self.identity)

    def __reduce__(self) -> tuple[Any, ...]:
        """A cell brings its plug-ins: the process that receives it, here or on another machine, imports them first."""
        names = self.scenario_name, self.method_name, self.seed
        return _received, (included(), names, pickle.dumps([self.scenario, self.method, self.model, self.training]))


def _received(plugins: list[Plugin], names: tuple[str, str, int], parts: bytes) -> CellSettings:
    include_all(plugins)
    scenario, method, seed = names
    return CellSettings(scenario, method, Resolved.of(*pickle.loads(parts)), seed)


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
    scored: list[str] = Field(
        ["*"], description="which scored predictions of other programs are shown beside its methods: names or patterns"
    )
    kind: Literal["benchmark", "smoke", "protocol"] = "benchmark"
    reduced: str = Field("", description="the suite of the like with reduced networks and schedules, for processors")
    source: str = Field("", description="of a protocol: the publication that specifies it")
    chosen: dict[str, FromPaper] = Field(
        default_factory=dict,
        description="methods whose settings are a paper's; of a protocol all of them are its source's",
    )
    tuned: Tuned | None = Field(None, description="how `tune` chose settings of this suite")
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
        problems, known = _refused(check_scenario_name, scenarios), set(declarations.settings())
        for name, settings in scenarios.items():
            last, setting = name.rpartition("/")[2], settings.get("setting")
            if {last, setting} <= known and last != setting:
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


def checked(document: dict[str, Any], name: str, problems: list[str]) -> Suite:
    """The suite `name` of `document`; what is wrong is added to `problems` and left out, so that the rest can be checked."""
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
