"""What the parts of a record must say, and what they must agree on. Every check raises ValueError with a sentence."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.request import declarations
from methods import METHODS

if TYPE_CHECKING:
    from benchmarks.records.record import Counts, RunRecord

LARGEST = 2**63 - 1
_MANY_DIGITS = re.compile("[0-9]{19}")
"""Of an integer that may be beyond LARGEST, or of a text."""
BY_CHANCE = 30
"""An untrained network that is right throughout, with odds of less than 1 to 2**30, was not untrained."""


class _Shape(BaseModel):
    """What readers rely on; settings that a class has besides are the business of the identity."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _MeanStd(_Shape):
    mean: float
    std: float


class _Scenario(_Shape):
    stream: str
    data: str
    setting: Literal["task", "domain", "class"]
    tasks: Annotated[int, Field(ge=1, le=100_000)]
    version: int
    normalisation: str | _MeanStd = "dataset"
    active_outputs: Literal["seen", "all", "task"] = "seen"
    padding: int = 0
    class_order: str | list[int] | None = None


class _Method(_Shape):
    name: str
    version: int
    settings: dict[str, Any]


class _Model(_Shape):
    backbone: str
    head: str = "auto"
    hidden: list[int] = []


class _Optimizer(_Shape):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | bool | None]
    name: str


class _Training(_Shape):
    epochs: int | None
    steps: int | None = None
    batch_size: int
    optimizer: _Optimizer
    optimizer_state: Literal["fresh", "kept"]
    schedule: str = ""


class _Settings(_Shape):
    model_config = ConfigDict(extra="forbid")
    scenario: _Scenario
    method: _Method
    model: _Model
    training: _Training
    seed: int


class _ScoredMethod(_Shape):
    name: str
    settings: dict[str, Any]


class _ScoredSettings(_Shape):
    """Of predictions that another program made: its network and training are not known here."""

    model_config = ConfigDict(extra="forbid")
    scenario: _Scenario
    method: _ScoredMethod
    seed: int


class _Manifest(_Shape):
    data_checksum: str | None = None
    classes: list[list[int]] | None = None
    train_sizes: list[Annotated[int, Field(ge=0)]] | None = None
    test_sizes: list[Annotated[int, Field(ge=0)]] | None = None


class _Environment(_Shape):
    commit: str | None = None
    versions: dict[str, str] = {}
    system: str | None = None
    hardware: str | None = None
    device: str | None = None
    threads: int | None = None
    processes: int | None = None
    precision: str | None = None
    products: str | None = None


def check_settings(settings: dict[str, Any]) -> None:
    """Has the parts that settle a cell, of the kinds that every reader of records relies on."""
    _check_shape(_ScoredSettings if _of_another_program(settings) else _Settings, settings)
    _check_head(settings["scenario"]["setting"], settings.get("model", {}).get("head", "auto"))


def _of_another_program(settings: dict[str, Any]) -> bool:
    return not {"model", "training"} & settings.keys()


def _check_head(setting: str, head: str) -> None:
    if head == "auto" or head in declarations.settings()[setting].heads:
        return
    from scenarios import layout_for, resolve_head

    resolve_head(layout_for(setting, [1, 1]), head)  # which says why not


def check_manifest(manifest: dict[str, Any]) -> None:
    _check_shape(_Manifest, manifest)


def check_environment(environment: dict[str, Any]) -> None:
    _check_shape(_Environment, environment)


def check_scored(record: RunRecord) -> None:
    """What only a run has is there, unless predictions of another program were scored."""
    if (record.scored is None) == _of_another_program(record.settings):
        told = "no model and training" if record.scored is None else "a model or training"
        raise ValueError(f"scored is {'missing' if record.scored is None else 'given'}, its settings have {told}")
    if record.scored is None:
        absent = [
            name
            for name, value in (("flops.training", record.flops.training), ("steps", record.steps))
            if value is None
        ]
        absent += [] if "total" in record.seconds else ["seconds.total"]
        if absent:
            raise ValueError(f"{absent[0]} is missing")
    elif record.status != "done":
        raise ValueError(f"scored predictions of a run that is {record.status}")


def check_tasks(record: RunRecord) -> None:
    """Names, seeds and lists: what stands at the top is what the settings say, an entry a task."""
    scenario, method = record.settings["scenario"], record.settings["method"]["name"]
    tasks = scenario["tasks"]
    if record.seed != record.settings["seed"]:
        raise ValueError(f"seed {record.seed}, its settings say {record.settings['seed']}")
    if record.method in METHODS and record.method != method:
        raise ValueError(f"method {record.method}, its settings say {method!r}")
    named = record.scenario.rpartition("/")[2]
    if named in declarations.settings() and named != scenario["setting"]:
        raise ValueError(f"scenario {record.scenario}, its settings say setting {scenario['setting']}")
    done, manifest = record.status == "done", record.scenario_manifest
    if done and manifest.get("data_checksum") is None:
        raise ValueError("scenario_manifest.data_checksum is missing")
    for name in ("classes", "train_sizes", "test_sizes"):
        listed = manifest.get(name)
        if listed is None and done:
            raise ValueError(f"scenario_manifest.{name} is missing")
        if listed is not None and len(listed) != tasks:
            raise ValueError(f"scenario_manifest.{name} has {len(listed)} entries, its settings say {tasks} tasks")
    if any("total" not in entry for entry in record.parameters):
        raise ValueError("parameters has an entry without total")
    lists: dict[str, Sequence[object]] = {
        "flops.inference": record.flops.inference,
        "flops.inference_modules": record.flops.inference_modules,
        "parameters": record.parameters,
        "memory.stored_bytes": record.memory.stored_bytes,
    }
    if record.diagnostics:
        lists["diagnostics"] = record.diagnostics
    for name, entries in lists.items():
        if record.scored and not entries:
            continue  # was not given
        if len(entries) > tasks or (done and len(entries) != tasks):
            raise ValueError(f"{name} has {len(entries)} entries for {tasks} tasks of a run that is {record.status}")


def check_matrices(record: RunRecord) -> None:
    """Both matrices are of these tasks, over their whole test sets, and complete where the run is done."""
    _check_matrix(record, "matrix", record.matrix)
    if (record.matrix_other is None) != (record.matrix_other_view is None):
        raise ValueError("matrix_other and matrix_other_view go together: one of them is missing")
    if record.matrix_other is not None:
        try:
            record.matrix_other.arrays  # noqa: B018
        except ValueError as error:
            raise ValueError(f"matrix_other: {error}") from None
        _check_matrix(record, "matrix_other", record.matrix_other)


def _check_matrix(record: RunRecord, name: str, counts: Counts) -> None:
    scenario = record.settings["scenario"]
    tasks = scenario["tasks"]
    n_tasks = counts.arrays[0].shape[1]
    if n_tasks != tasks:
        raise ValueError(f"{name}: {n_tasks} tasks, its settings say {tasks}")
    correct, total = counts.correct, counts.total
    sizes = record.scenario_manifest.get("test_sizes") or [
        next((row[j] for row in total if row[j] is not None), None) for j in range(tasks)
    ]
    for i, row in enumerate(total):
        if any(n is not None and n != size for n, size in zip(row, sizes, strict=True)):
            j = next(j for j in range(tasks) if row[j] is not None and row[j] != sizes[j])
            raise ValueError(f"{name}, row {i}, task {j + 1}: a total of {row[j]}, its test set has {sizes[j]} images")
    own = name == "matrix"
    without_outputs = scenario["setting"] == "class" or not own
    for i, row in enumerate(total):
        unseen = row[i:]
        if without_outputs and any(n is not None for n in unseen):
            raise ValueError(f"{name}, row {i}: counts of a task whose classes had no outputs yet")
        if record.status == "done" and None in row:
            _check_gaps(record, name, i, row)
    right = [(c, n, k) for c, n, k in zip(correct[0], total[0], _classes(record), strict=True) if n is not None]
    if all(c == n for c, n, _ in right) and sum(n * math.log2(k) for _, n, k in right) > BY_CHANCE:
        raise ValueError(f"{name}, row 0: every answer of the untrained network is right")


def _check_gaps(record: RunRecord, name: str, i: int, row: list[int | None]) -> None:
    """Row `i` of a run that is done has a count for every task but for those that the record explains."""
    reasons, tasks = record.not_evaluated, len(row)
    unseen_explained = "unseen tasks" in reasons or name == "matrix_other"
    for j, n in enumerate(row):
        explained = (j >= i and unseen_explained) or (i < tasks and "earlier rows" in reasons)
        if n is None and not explained:
            raise ValueError(f"{name}, row {i}, task {j + 1}: no count, though the run is done and gives no reason")


def _classes(record: RunRecord) -> list[int]:
    """How many classes each task has; 1, of which nothing follows, where the record does not say."""
    classes = record.scenario_manifest.get("classes")
    tasks = record.settings["scenario"]["tasks"]
    return [max(len(own), 1) for own in classes] if classes else [1] * tasks


def _check_shape(shape: type[BaseModel], document: dict[str, Any]) -> None:
    try:
        shape.model_validate(document)
    except ValidationError as error:
        raise ValueError(sentence(error)) from None
    _check_numbers(document)


def _check_numbers(value: Any) -> None:
    """Finite floats and integers of 64 bits throughout: what is shown or hashed can be."""
    with suppress(ValueError, TypeError):  # looked at below
        if not _MANY_DIGITS.search(json.dumps(value, allow_nan=False)):
            return
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, str):  # most are
            continue
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list):
            todo += value
        elif (isinstance(value, float) and not math.isfinite(value)) or (
            isinstance(value, int) and abs(value) > LARGEST
        ):
            raise ValueError("a number in it is beyond 64 bits")


def sentence(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:60].encode("unicode_escape").decode() for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
