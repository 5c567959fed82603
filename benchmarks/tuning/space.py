"""The file that says what is tuned and how: a space a method, the rule, the sampler, the number of trials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmarks.request.errors import SettingsError
from benchmarks.request.suite_yaml import read_yaml, seed_list
from benchmarks.request.tuned import Rule
from methods.core.hyperparameters import explain
from metrics import SCORES
from scenarios.nearest import nearest

RULES = ("first-tasks", "other-data", "end-of-stream")
FORMS = "rule: {first-tasks: 2}, rule: {other-data: SUITE:SCENARIO} or rule: end-of-stream"
KINDS = ("categorical", "uniform", "loguniform", "int")


class Dimension(BaseModel):
    """What one setting may be: one of a list, or a number between two, both included."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    categorical: list[Any] | None = Field(None, min_length=1)
    uniform: tuple[float, float] | None = None
    loguniform: tuple[Annotated[float, Field(gt=0)], float] | None = None
    int_: tuple[int, int] | None = Field(None, alias="int")

    @model_validator(mode="after")
    def _one_kind(self) -> Dimension:
        given = [kind for kind in (self.categorical, self.uniform, self.loguniform, self.int_) if kind is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS)}")
        if self.categorical is None and not given[0][0] < given[0][1]:
            raise ValueError(f"the lower bound comes first, then a higher one: {list(given[0])}")
        if self.categorical is not None and any(self.categorical.count(value) > 1 for value in self.categorical):
            raise ValueError("a value stands there twice")
        return self

    @property
    def extremes(self) -> list[Any]:
        """All values of a list, both bounds of a number."""
        return list(self.categorical or self.uniform or self.loguniform or self.int_ or [])


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    rule: Any = Field(description="on what settings are chosen")
    sampler: Literal["random", "tpe"] = "tpe"
    trials: int = Field(ge=1, le=10_000)
    batch: int = Field(
        4, ge=1, description="trials that are drawn together, before the results of any of them are known"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="of the sampler")
    seeds: Any = Field(None, description="of the cells of a trial, whose mean counts; null: the suite's first one")
    validation: float = Field(0.1, gt=0, lt=1, description="part of the training images that trials are evaluated on")
    metric: str = "acc"
    methods: dict[str, dict[str, Dimension]] = Field(min_length=1)


@dataclass(frozen=True)
class Space:
    """As the file says it. where: the number of first tasks, or the other data. seeds: None for the suite's first one.
    methods: of each the dimensions by key, a hyperparameter or training.*."""

    rule: Rule
    where: int | str | None
    sampler: Literal["random", "tpe"]
    trials: int
    batch: int
    seed: int
    seeds: list[int] | None
    validation: float
    metric: str
    methods: dict[str, dict[str, Dimension]]

    @property
    def at_once(self) -> int:
        """Trials that are drawn together; a random search draws all of them, as no result changes what it draws."""
        return self.trials if self.sampler == "random" else self.batch


def read_space(path: Path) -> Space:
    """Reads the file. Raises SettingsError with all that is wrong in it."""
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError([f"{path} is not YAML: {error}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise SettingsError([f"--space {path}: {said}"]) from None
    if not isinstance(document, dict):
        raise SettingsError([f"{path} should be a mapping with rule, trials, methods, ..."])
    problems: list[str] = []
    try:
        read = _Document.model_validate_json(json.dumps(document))
    except ValidationError as error:
        problems += explain(error, [*_Document.model_fields, *KINDS])
        read = None
    rule, where = _rule(document["rule"], problems) if "rule" in document else (RULES[0], None)
    metric = document.get("metric", "acc")
    known = [id for id, entry in SCORES.items() if not entry.needs]
    if isinstance(metric, str) and metric not in known:
        problems.append(f"metric: no score {metric!r} of a single run{nearest(metric, known)}")
    seeds = document.get("seeds")
    listed = None if seeds is None else seed_list(seeds, "seeds", problems)
    for name, space in (read.methods if read else {}).items():
        if not space:
            problems.append(f"methods.{name}: there is nothing to choose; name a setting, e.g. training.optimizer.lr")
    if problems or read is None:
        raise SettingsError([f"{path}: {line}" for line in problems])
    fields = {name: getattr(read, name) for name in ("sampler", "trials", "batch", "seed", "validation", "metric")}
    return Space(rule=rule, where=where, seeds=listed, methods=read.methods, **fields)  # type: ignore[arg-type]


def _rule(given: Any, problems: list[str]) -> tuple[str, int | str | None]:
    """The rule and what it names; what is wrong with it is added to `problems`."""
    name, where = next(iter(given.items())) if isinstance(given, dict) and len(given) == 1 else (given, None)
    if name == "end-of-stream" and where is None:
        return name, None
    if name == "first-tasks" and isinstance(where, int) and not isinstance(where, bool) and where >= 1:
        return name, where
    if name == "other-data" and isinstance(where, str) and where:
        return name, where
    near = nearest(name, RULES, FORMS) if isinstance(name, str) and name not in RULES else f"; {FORMS}"
    problems.append(f"rule: {given!r}{near}")
    return RULES[0], None
