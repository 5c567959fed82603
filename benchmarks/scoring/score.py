"""From predictions to a record: checked against the scenario that they are of, counted as a run here is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.records.record import Counts, Flops, Memory, RunRecord, Scored
from benchmarks.request.errors import SettingsError
from benchmarks.request.repository import commit
from benchmarks.request.scored import ScoredCell
from benchmarks.scoring.manifest import evaluations
from benchmarks.scoring.predictions import Predictions
from metrics import AccuracyMatrix
from scenarios import Scenario
from scenarios.active import ActiveClasses

SHOWN = 3
"""Places and ids that are named of each kind of fault."""


@dataclass(frozen=True)
class Costs:
    """What a program's user says of its costs, None where nothing; lists have an entry a task. parameters: of its network;
    memory: bytes kept between tasks besides it."""

    flops_training: int | None = None
    flops_inference: list[int] | None = None
    parameters: list[int] | None = None
    memory: list[int] | None = None


@dataclass
class _Faults:
    """What is wrong, by kind, with the places where it is."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, where: str) -> None:
        self.places.setdefault(kind, []).append(where)

    def lines(self) -> list[str]:
        found = []
        for kind, places in self.places.items():
            more = f"; and in {len(places) - SHOWN} more places" if len(places) > SHOWN else ""
            found.append(f"{kind}: {'; '.join(places[:SHOWN])}{more}")
        return found


def scored_record(
    cell: ScoredCell,
    scenario: Scenario,
    predictions: Predictions,
    manifest: str,
    provenance: str = "",
    versions: dict[str, str] | None = None,
    costs: Costs = Costs(),
) -> RunRecord:
    """The record of `predictions` of the test images of `scenario`; manifest: the identity of its manifest.

    Accuracies that no predictions were given for are not evaluated. Raises SettingsError with all that does not fit:
    images unknown, missing or twice, outputs that are not active, other numbers of outputs, scores that are not finite,
    predictions of what cannot be predicted, none after the last task.
    """
    matrix, other = matrices(scenario, predictions)
    view = scenario.layout.other_view_name if other is not None else None
    return RunRecord(
        scenario=cell.scenario_name,
        method=cell.method_name,
        seed=cell.seed,
        status="done",
        identity=cell.identity,
        settings=cell.identity_settings(),
        matrix=Counts.of(matrix),
        matrix_other=Counts.of(other) if other is not None else None,
        matrix_other_view=view,
        not_evaluated=_reasons(scenario, matrix),
        flops=Flops(
            inference=costs.flops_inference or [], inference_modules=[], training=costs.flops_training, parts={}
        ),
        seconds={},
        steps=None,
        parameters=[{"total": n} for n in costs.parameters or []],
        memory=Memory(stored_bytes=[{"kept": n} for n in costs.memory or []], peak_bytes=None),
        scenario_manifest=scenario.manifest,
        environment={"commit": commit(), "versions": versions or {}},
        scored=Scored(file=predictions.file, sha256=predictions.sha256, manifest=manifest, provenance=provenance),
    )


def matrices(scenario: Scenario, predictions: Predictions) -> tuple[AccuracyMatrix, AccuracyMatrix | None]:
    """Counts of right answers, as `evaluate` counts them, and of the same scores under the other reading of the setting:
    None for classes, and where those scores are not all there. Raises SettingsError."""
    faults, n = _Faults(), len(scenario.tasks)
    _check_outputs(scenario, predictions, faults)
    readable = not faults.places
    allowed = {(e["after_task"], e["task"]) for e in evaluations(scenario)}
    rows: list[list[tuple[int, int] | None]] = [[None] * n for _ in range(n + 1)]
    others: list[list[tuple[int, int] | None]] = [[None] * n for _ in range(n + 1)]
    complete = predictions.scores is not None and scenario.layout.other_view_name is not None
    for seen, task, found in _groups(scenario, predictions, faults):
        where = f"after task {seen}, task {task}"
        if (seen, task) not in allowed:
            faults.add(f"cannot be predicted in the {scenario.layout.setting.name}-incremental setting", where)
            continue
        ordered = _in_test_order(scenario, predictions, task, found, where, faults)
        if ordered is None or not readable:
            continue
        labels = scenario.tasks[task - 1].test.labels
        active, other = scenario.layout.active_at_test(task - 1, seen), scenario.layout.other_view(task - 1, seen)
        answers = _answers(predictions, ordered, active, where, faults)
        if answers is None:
            continue
        rows[seen][task - 1] = (int((answers == labels).sum()), len(labels))
        if complete and other is not None:
            again = _answers(predictions, ordered, other, where, _Faults())
            complete = again is not None
            others[seen][task - 1] = None if again is None else (int((again == labels).sum()), len(labels))
    if not faults.places:
        for task in [task for task, cell in enumerate(rows[n], 1) if cell is None]:
            faults.add("no predictions after the last task, on which every score rests", f"task {task}")
    if faults.places:
        raise SettingsError([f"{predictions.file}: {line}" for line in faults.lines()])
    return _matrix(rows), _matrix(others) if complete else None


def _check_outputs(scenario: Scenario, predictions: Predictions, faults: _Faults) -> None:
    outputs = scenario.layout.n_outputs
    if predictions.scores is not None and predictions.scores.shape[1] != outputs:
        faults.add(f"logits of {predictions.scores.shape[1]} outputs", f"the scenario has {outputs}")
    if predictions.classes is not None:
        outside = predictions.classes[(predictions.classes < 0) | (predictions.classes >= outputs)]
        if len(outside):
            faults.add(f"predictions outside the outputs 0 to {outputs - 1}", f"{len(outside):,} ({_some(outside)})")


def _groups(scenario: Scenario, predictions: Predictions, faults: _Faults) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Tasks trained, task tested (from 1) and the positions of the predictions of it."""
    n = len(scenario.tasks)
    tasks = predictions.task
    if tasks is None:
        tasks = _tasks_of(scenario, predictions, faults)
        if tasks is None:
            return
    wrong_rows = predictions.after_task[(predictions.after_task < 0) | (predictions.after_task > n)]
    if len(wrong_rows):
        faults.add(f"after_task outside 0 to {n}", f"{len(wrong_rows):,} predictions ({_some(wrong_rows)})")
    wrong_tasks = tasks[(tasks < 1) | (tasks > n)]
    if len(wrong_tasks):
        faults.add(f"task outside 1 to {n}", f"{len(wrong_tasks):,} predictions ({_some(wrong_tasks)})")
    if len(wrong_rows) or len(wrong_tasks):
        return
    keys = predictions.after_task * n + (tasks - 1)
    order = np.argsort(keys, kind="stable")
    there, starts = np.unique(keys[order], return_index=True)
    for key, found in zip(there.tolist(), np.split(order, starts[1:]), strict=True):
        yield key // n, key % n + 1, found


def _tasks_of(scenario: Scenario, predictions: Predictions, faults: _Faults) -> NDArray[np.int64] | None:
    """The task of each test image, where each is in one task only; None, and a fault, where that does not tell it."""
    ids = [task.test.rows.numpy() for task in scenario.tasks]
    everything = np.concatenate(ids)
    if len(np.unique(everything)) < len(everything):
        faults.add("column 'task' is missing", "tasks share test images, so an id does not tell the task (from 1)")
        return None
    size = int(everything.max()) + 1
    table = np.zeros(size, dtype=np.int64)
    for number, own in enumerate(ids, 1):
        table[own] = number
    inside = (predictions.id >= 0) & (predictions.id < size)
    found = np.where(inside, table[np.where(inside, predictions.id, 0)], 0)
    unknown = predictions.id[found == 0]
    if len(unknown):
        faults.add("ids that are no test image of the scenario", f"{len(unknown):,} predictions (ids {_some(unknown)})")
        return None
    return found


def _in_test_order(
    scenario: Scenario,
    predictions: Predictions,
    task: int,
    found: NDArray[Any],
    where: str,
    faults: _Faults,
) -> NDArray[Any] | None:
    """The positions `found` in the order of the task's test set; None, and faults, where they are not all of it, once."""
    wanted = scenario.tasks[task - 1].test.rows.numpy()
    given, counts = np.unique(predictions.id[found], return_counts=True)
    sets = {
        "ids that are not of the task": given[~np.isin(given, wanted)],
        "images with several predictions": given[counts > 1],
        "test images without a prediction": wanted[~np.isin(wanted, given)],
    }
    for kind, ids in sets.items():
        if len(ids):
            faults.add(kind, f"{where}: {len(ids):,} (ids {_some(ids)})")
    if any(map(len, sets.values())):
        return None
    by_id = found[np.argsort(predictions.id[found])]
    return by_id[np.argsort(np.argsort(wanted))]


def _answers(
    predictions: Predictions, found: NDArray[Any], active: ActiveClasses, where: str, faults: _Faults
) -> torch.Tensor | None:
    """The output that each prediction is of, among the active ones; None, and a fault, where some are not."""
    columns = active.columns
    if predictions.scores is None:
        assert predictions.classes is not None
        classes = predictions.classes[found]
        wrong = classes[(classes < columns.start) | (classes >= columns.stop)]
        if len(wrong):
            outputs = f"{where}: {len(wrong):,}, active are {columns.start} to {columns.stop - 1}"
            faults.add(
                "predictions of outputs that are not active (give logits, or the best of the active ones)", outputs
            )
            return None
        return torch.from_numpy(classes)
    scores = torch.from_numpy(predictions.scores[found])
    bad = int((~active.select(scores).isfinite()).any(1).sum())
    if bad:
        faults.add("logits of active outputs that are NaN or infinite", f"{where}: {bad:,} predictions")
        return None
    return active.answers(scores)


def _matrix(rows: list[list[tuple[int, int] | None]]) -> AccuracyMatrix:
    matrix = AccuracyMatrix(len(rows[0]))
    for seen, row in enumerate(rows):
        matrix.record_row(seen, row)
    return matrix


def _reasons(scenario: Scenario, matrix: AccuracyMatrix) -> dict[str, str]:
    """Why scores are not available, by what is missing."""
    unseen = scenario.layout.forward_transfer_reason()
    if unseen is None and any(None in row[seen:] for seen, row in enumerate(matrix.total)):
        unseen = "the predictions leave out tasks that were not yet learned"
    reasons = {"unseen tasks": unseen} if unseen else {}
    if scenario.eval_every > 1:
        reasons["earlier rows"] = f"methods are evaluated after every {scenario.eval_every} tasks only"
    elif any(None in row[:seen] for seen, row in enumerate(matrix.total)):
        reasons["earlier rows"] = "the predictions leave out learned tasks before the end"
    return reasons


def _some(values: NDArray[Any]) -> str:
    listed = list(dict.fromkeys(values.tolist()))
    return ", ".join(map(str, listed[:SHOWN])) + (", ..." if len(listed) > SHOWN else "")
