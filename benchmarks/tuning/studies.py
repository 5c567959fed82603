"""What is tuned: a study for each choice, whose trials are cells of the suite on validation images."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.keys import dotted_fields
from benchmarks.request.load import load_suite
from benchmarks.request.selection import select
from benchmarks.request.suite import CellSettings, Override, Suite
from benchmarks.request.tuned import TRAINING
from benchmarks.tuning.search import Search
from benchmarks.tuning.space import Dimension, Space
from methods import METHODS, Recipe
from metrics import SCORES
from scenarios import SCENARIOS
from scenarios.nearest import nearest, nearest_setting
from scenarios.seeding import seed_for


@dataclass(frozen=True)
class Trial:
    """Settings by key, and the cells that they make, one a seed. value: the mean of the metric; None: one diverged or
    raised an error."""

    settings: dict[str, Any]
    cells: list[CellSettings]
    value: float | None = None


@dataclass
class Study:
    """One choice: for `method` in the scenarios `targets`. `name` and `stream` are the scenario that its trials run."""

    suite: Suite
    space: Space
    method: str
    targets: list[str]
    name: str
    stream: dict[str, Any]
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        seed = seed_for(self.space.seed, "tuning", self.name, self.method) % 2**32
        direction = SCORES[self.space.metric].direction
        self.search = Search(self.dimensions, self.space.sampler, direction, self.space.trials, seed)

    @property
    def dimensions(self) -> Mapping[str, Dimension]:
        return self.space.methods[self.method]

    @property
    def label(self) -> str:
        return f"{self.method} in {', '.join(self.targets)}"

    @property
    def is_done(self) -> bool:
        return len(self.trials) >= self.space.trials

    def next_trials(self) -> list[Trial]:
        """The trials of the next batch, without values. Raises SettingsError for settings that no cell can have."""
        n = min(self.space.at_once, self.space.trials - len(self.trials))
        return [Trial(settings, self.cells(settings)) for settings in self.search.ask(n)]

    def conclude(self, trials: list[Trial]) -> None:
        """Takes in the batch asked for last, now with values."""
        self.search.tell([trial.value for trial in trials])
        self.trials += trials

    def best(self) -> int | None:
        """Which trial has the best value, of equal ones the first; None where all were without success."""
        sign = 1 if SCORES[self.space.metric].direction == "higher" else -1
        found = [(-sign * t.value, k) for k, t in enumerate(self.trials) if t.value is not None]
        return min(found)[1] if found else None

    def cells(self, settings: Mapping[str, Any]) -> list[CellSettings]:
        """The cells of a trial: the suite's, with these settings. Raises SettingsError."""
        return make_grid(self._suite(settings)).cells

    def impossible(self) -> str | None:
        """Why the method cannot run in the scenario of its trials."""
        return make_grid(self._suite({})).impossible.get((self.name, self.method))

    def _suite(self, settings: Mapping[str, Any]) -> Suite:
        own = Override(methods=[self.method], **overridden(settings))
        return self.suite.model_copy(
            update={
                "scenarios": {self.name: self.stream},
                "methods": {self.method: self.suite.methods[self.method]},
                "seeds": self.space.seeds or self.suite.seeds_of(self.targets[0])[:1],
                "scenario_seeds": {},
                "overrides": [*self.suite.overrides, own],
            }
        )


def overridden(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by key as the parts `method` and `training` of an override."""
    parts: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        path = key.split(".") if key.startswith(TRAINING) else ["method", key]
        part = parts
        for name in path[:-1]:
            part = part.setdefault(name, {})
        part[path[-1]] = value
    return parts


def is_settled(record: RunRecord) -> bool:
    """Whether this cell came to its end, and would again: also one that diverged or raised an error, as settings make
    a method do; not one whose process died or took too long."""
    return record.status != "failed" or (record.error or "").startswith(("Traceback", "gone on after"))


def value_of(trial: Trial, records: Mapping[str, RunRecord], metric: str) -> float | None:
    """The mean of the metric over the seeds of a trial; None where a cell diverged or raised an error. Raises KeyError,
    with the label of a cell, where one has not run, or its process was ended."""
    values = []
    for cell in trial.cells:
        record = records.get(cell.identity)
        if record is None or not is_settled(record):
            raise KeyError(cell.label)
        values.append(record.score(metric) if record.status == "done" else math.nan)
    mean = math.fsum(values) / len(values)
    return None if math.isnan(mean) else mean


def plan(
    suite: Suite,
    space: Space,
    methods: list[str] | None = None,
    scenarios: list[str] | None = None,
    file: str = "file",
) -> list[Study]:
    """The studies of a suite: one for each method of the space and scenario, with `other-data` one for each method.

    methods, scenarios: only those of these names, patterns allowed. file: of the space, for what is said. Raises
    SettingsError with all that is wrong with the request: names, keys, and settings at the bounds of a space that no
    cell can have.
    """
    problems = check_keys(suite, space)
    chosen = dict(suite.scenarios)
    if scenarios is not None:
        chosen = select("scenario", chosen, scenarios, suite.name, problems)
    tuned: dict[str, Any] = {name: {} for name in space.methods if name in suite.methods}
    if methods is not None:
        known = {*suite.methods, *METHODS}
        without = [name for name in methods if fnmatch.filter(known, name) and not fnmatch.filter(tuned, name)]
        problems += [
            f"methods.{name}: the space {file} has none; it has {', '.join(space.methods)}" for name in without
        ]
        if others := [name for name in methods if name not in without]:
            tuned = select("method", tuned, others, suite.name, problems)
    streams = _streams(suite, space, list(chosen), problems)
    if problems:
        raise SettingsError(problems)
    studies = [
        Study(suite, space, method, targets, name, stream | {"validation": space.validation})
        for method in tuned
        for targets, name, stream in streams
    ]
    possible = [study for study in studies if _can_run(study, problems)]
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    if not possible:
        raise SettingsError([f"nothing to tune: none of {', '.join(tuned)} can run in {', '.join(chosen)}"])
    return possible


def check_keys(suite: Suite, space: Space) -> list[str]:
    """A line for each method that the suite has not, and each key that is no setting of its method or training."""
    problems = []
    training = [TRAINING + key for key in dotted_fields(Recipe)]
    for name, dimensions in space.methods.items():
        if name not in suite.methods:
            problems.append(f"methods.{name}: suite {suite.name} has no such method{nearest(name, suite.methods)}")
            continue
        own = list(METHODS[suite.methods[name].get("method", name)]().hyperparameters())
        problems += [
            f"methods.{name}.{key}: no such setting{nearest_setting(key, [*own, *training])}"
            for key in dimensions
            if key not in own and key not in training
        ]
    return problems


def _streams(
    suite: Suite, space: Space, scenarios: list[str], problems: list[str]
) -> list[tuple[list[str], str, dict[str, Any]]]:
    """Of each choice the scenarios that it is for, and the name and settings of the one that its trials run."""
    if space.rule == "other-data":
        return _other_data(suite, str(space.where), scenarios, problems)
    found = []
    for name in scenarios:
        stream = dict(suite.scenarios[name])
        if space.rule == "first-tasks":
            default = SCENARIOS[stream["stream"]].model_fields["tasks"].default
            tasks, first = stream.get("tasks", default), int(space.where or 0)
            if first >= tasks:
                problems.append(
                    f"rule: {name} has {tasks} tasks: first-tasks: 1 to {tasks - 1}, or rule: end-of-stream"
                )
            stream |= {"tasks": first, "of_tasks": tasks}
        found.append(([name], name, stream))
    return found


def _other_data(
    suite: Suite, named: str, scenarios: list[str], problems: list[str]
) -> list[tuple[list[str], str, dict[str, Any]]]:
    """The one scenario that the trials of every method run: of this suite, or of another as SUITE:SCENARIO."""
    other, _, name = named.rpartition(":")
    known = (load_suite(other) if other else suite).scenarios
    if name not in known:
        problems.append(f"rule: no scenario {name!r} in suite {other or suite.name}{nearest(name, known)}")
        return []
    stream = dict(known[name])
    for target in scenarios:
        own = suite.scenarios[target]
        if own["setting"] != stream["setting"]:
            problems.append(
                f"rule: {target} is {own['setting']}-incremental and {named} is not: choose with --scenarios those that are"
            )
        if all(own.get(key) == stream.get(key) for key in ("data", "stream")):
            problems.append(f"rule: {named} is of the same data and stream as {target}: that is rule: end-of-stream")
    return [(scenarios, name, stream)]


def _can_run(study: Study, problems: list[str]) -> bool:
    """Whether the method can run in this scenario; what no cell can have, at the bounds of its space, is said."""
    try:
        if study.impossible():
            return False
        first = {key: dimension.extremes[0] for key, dimension in study.dimensions.items()}
        for key, dimension in study.dimensions.items():
            for value in dimension.extremes:
                study.cells(first | {key: value})
    except SettingsError as error:
        problems += [f"methods.{study.method}: {line}" for line in error.problems]
        return False
    return True
