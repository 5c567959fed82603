"""What a column of a table can show: a score of the matrix or a cost, and when there is no number to show."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.config import SettingsError, nearest
from benchmarks.record import RunRecord
from metrics import SCORES, AccuracyMatrix, score

Kind = Literal["fraction", "difference", "flops per image", "flops", "seconds", "bytes"]
Direction = Literal["higher", "lower"]

HEADLINE = ("acc", "bwt", "fwt", "fm.mean", "la", "aa")
LABELS = {"acc": "ACC", "bwt": "BWT", "fwt": "FWT", "fm.mean": "FM (fm.mean)", "la": "LA", "aa": "AA", "d": "D"}
BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class Measure:
    """One number of a run.

    id, label: how settings and column heads call it. kind: what it counts, which decides its unit. name, formula (of
    scores only), source: what the footer says of it. ranked: whether methods compete in it.
    value: of a record, in fractions, FLOPs, seconds or bytes; the second argument is the joint method's record with
    the same seed, where there is one. absent: why a record has no such number, None where it has.
    """

    id: str
    label: str
    kind: Kind
    direction: Direction
    name: str
    formula: str
    source: str
    value: Callable[[RunRecord, RunRecord | None], float]
    absent: Callable[[RunRecord, RunRecord | None], str | None]
    ranked: bool = True


def check_metrics(metrics: list[str]) -> None:
    """Raises SettingsError that names every id in `metrics` which is neither a score nor a cost."""
    known = [*SCORES, *COSTS]
    problems = [f"unknown metric {id!r}{nearest(id, known)}" for id in dict.fromkeys(metrics) if id not in known]
    if not metrics:
        problems = ["no metric named: give score ids, e.g. acc,fm.mean"]
    if problems:
        raise SettingsError(problems)


def measures_for(metrics: list[str] | None, other_view: str | None) -> list[Measure]:
    """The measures to show, in order: those named (checked before), or the headline scores and the costs.

    Where ACC is shown and the records hold the same logits under another reading ("masked" or "unmasked"), ACC under
    that reading comes last.
    """
    ids = list(dict.fromkeys(metrics)) if metrics is not None else [*HEADLINE, *COSTS]
    chosen = [COSTS[id] if id in COSTS else score_measure(id) for id in ids]
    return chosen + ([other_accuracy(other_view)] if other_view and "acc" in ids else [])


def score_measure(id: str) -> Measure:
    """The score `id` of a record's matrix."""
    entry = SCORES[id]

    def value(record: RunRecord, joint: RunRecord | None) -> float:
        return score(id, record.matrix.matrix(), joint.matrix.matrix() if joint else None)

    def absent(record: RunRecord, joint: RunRecord | None) -> str | None:
        if {"unseen tasks", "untrained row"} & set(entry.needs) and "unseen tasks" in record.not_evaluated:
            return record.not_evaluated["unseen tasks"]
        if "joint" in entry.needs:
            if joint is None:
                return "needs the joint method's record with the same seed"
            if joint.identity == record.identity:
                return "the joint method is what others are compared with here"
            if joint.settings["model"] != record.settings["model"]:
                return "the joint method ran with another network"
        if not math.isnan(value(record, joint)):
            return None
        if "earlier rows" in record.not_evaluated:
            return record.not_evaluated["earlier rows"]
        if joint is not None and "joint" in entry.needs and "earlier rows" in joint.not_evaluated:
            return f"the joint method has no earlier rows: {joint.not_evaluated['earlier rows']}"
        return "not defined for a single task" if len(record.matrix.correct) == 2 else None

    label = LABELS.get(id, id)
    return Measure(id, label, entry.kind, entry.direction, entry.name, entry.formula, entry.source, value, absent)


OTHER_VIEWS = {
    "masked": "acc of the same logits when only the columns of the test image's own task compete, which is the other "
    "meaning of task-incremental: trained class-incrementally, masked at test",
    "unmasked": "acc of the same logits when the columns of all tasks seen so far compete and no task id is used",
}


def other_accuracy(view: str) -> Measure:
    """ACC of the same logits under the other reading, `view` (see OutputLayout.other_view)."""

    def value(record: RunRecord, joint: RunRecord | None) -> float:
        return score("acc", _other(record)) if record.matrix_other else math.nan

    def absent(record: RunRecord, joint: RunRecord | None) -> str | None:
        if record.matrix_other is None:
            return f"answers only for the task that it is told: its logits have no {view} reading"
        return None

    return Measure(f"acc.{view}", f"ACC {view}", "fraction", "higher", OTHER_VIEWS[view], "", "", value, absent)


def _other(record: RunRecord) -> AccuracyMatrix:
    assert record.matrix_other is not None
    return record.matrix_other.matrix()


def _always(record: RunRecord, joint: RunRecord | None) -> None:
    return None


def _inference(record: RunRecord, joint: RunRecord | None) -> float:
    return float(record.flops.inference[-1]) if record.flops.inference else math.nan


def _training(record: RunRecord, joint: RunRecord | None) -> float:
    return float(record.flops.training)


def _seconds(record: RunRecord, joint: RunRecord | None) -> float:
    # Reading the data is left out: the first cell of a worker pays for it, the others find it in memory.
    return record.seconds.get("total", math.nan) - record.seconds.get("data", 0.0)


def _memory(record: RunRecord, joint: RunRecord | None) -> float:
    if not record.parameters or not record.memory.stored_bytes:
        return math.nan
    return float(BYTES_PER_PARAMETER * record.parameters[-1]["total"] + sum(record.memory.stored_bytes[-1].values()))


def _cost(id: str, label: str, kind: Kind, name: str, value: Callable[[RunRecord, RunRecord | None], float]) -> Measure:
    return Measure(id, label, kind, "lower", name, "", "", value, _always, ranked=False)


_COSTS = (
    _cost(
        "flops.inference",
        "inference",
        "flops per image",
        "FLOPs of one prediction for one image after the last task, 2 per multiply-add",
        _inference,
    ),
    _cost(
        "flops.training",
        "training",
        "flops",
        "FLOPs of all training on all tasks: forward, backward, replay, penalties, work at the end of a task",
        _training,
    ),
    _cost(
        "seconds",
        "time (indicative)",
        "seconds",
        "wall-clock time of training and evaluation; other runs may have shared the machine",
        _seconds,
    ),
    _cost(
        "memory",
        "memory",
        "bytes",
        f"bytes held after the last task: {BYTES_PER_PARAMETER} a parameter, and what the method keeps between tasks "
        "(buffers, teachers, penalties); not what training takes",
        _memory,
    ),
)

COSTS: dict[str, Measure] = {measure.id: measure for measure in _COSTS}
"""Costs by id, in the order in which a table shows them. They are not ranked: cheap means little without accuracy."""
