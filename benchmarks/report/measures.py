"""What a column of a table can show: a score of the matrix or a cost, and when there is no number to show."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.records.record import RunRecord
from benchmarks.report.networks import network_of, same_network
from benchmarks.report.runs import Runs
from benchmarks.request.errors import SettingsError
from metrics import SCORES
from scenarios.nearest import nearest

Kind = Literal["fraction", "difference", "flops per image", "flops", "seconds", "bytes"]
Direction = Literal["higher", "lower"]

HEADLINE = ("acc", "bwt", "fwt", "fm.mean", "la", "aa")
LABELS = {"acc": "ACC", "bwt": "BWT", "fwt": "FWT", "fm.mean": "FM (fm.mean)", "la": "LA", "aa": "AA", "d": "D"}
MODULES = "flops.inference_modules"
BYTES_PER_PARAMETER = 4


def _nothing(record: RunRecord, joint: RunRecord | None) -> None:
    return None


@dataclass(frozen=True)
class Measure:
    """One number of a run.

    id, label: how settings and column heads call it. kind: what it counts, which decides its unit. name, formula (of
    scores only), source: what the footer says of it. ranked: whether methods compete in it.
    value: of a record, in fractions, FLOPs, seconds or bytes; the second argument is the joint method's record with
    the same seed, where there is one. absent: why a record has no such number, None where it has.
    remark: what a reader must know of the number, None where that is nothing.
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
    remark: Callable[[RunRecord, RunRecord | None], str | None] = _nothing


def check_metrics(metrics: list[str]) -> None:
    """Raises SettingsError that names every id in `metrics` which is neither a score nor a cost."""
    known = [*SCORES, *COSTS]
    problems = [f"unknown metric {id!r}{nearest(id, known)}" for id in dict.fromkeys(metrics) if id not in known]
    if not metrics:
        problems = ["no metric named: give score ids, e.g. acc,fm.mean"]
    if problems:
        raise SettingsError(problems)


def measures_for(metrics: list[str] | None, runs: Runs) -> list[Measure]:
    """The measures to show of `runs`, in order: those named (checked before), or the usual ones.

    Where ACC is shown and the records hold the same logits under another reading ("masked" or "unmasked"), ACC under
    that reading comes last.
    """
    ids = list(dict.fromkeys(metrics)) if metrics is not None else _usual(runs)
    records = [record for method in runs.roles for record in runs.done(method).values()]
    other_view = min((r.matrix_other_view for r in records if r.matrix_other and r.matrix_other_view), default=None)
    chosen = [COSTS[id] if id in COSTS else score_measure(id) for id in ids]
    return chosen + ([other_accuracy(other_view)] if other_view and "acc" in ids else [])


def _usual(runs: Runs) -> list[str]:
    """The headline scores and the costs; D where classes come in turn, there is a joint method, and not all networks
    are MLPs; the FLOPs of modules alone where a record's differ from all FLOPs."""
    mlp = all(network_of(own).backbone == "mlp" for own in runs.settings.values())
    d = runs.setting == "class" and runs.named("upper bound") and not mlp
    records = [record for method in runs.roles for record in runs.done(method).values()]
    attention = any(r.flops.inference[-1:] != r.flops.inference_modules[-1:] for r in records)
    return [*HEADLINE, *(["d"] if d else []), *(id for id in COSTS if id != MODULES or attention)]


def score_measure(id: str) -> Measure:
    """The score `id` of a record's matrix."""
    entry = SCORES[id]

    def value(record: RunRecord, joint: RunRecord | None) -> float:
        return record.score(id, joint)

    def absent(record: RunRecord, joint: RunRecord | None) -> str | None:
        if {"unseen tasks", "untrained row"} & set(entry.needs) and "unseen tasks" in record.not_evaluated:
            return record.not_evaluated["unseen tasks"]
        if "joint" in entry.needs:
            if joint is None:
                return "needs the joint method's record with the same seed"
            if joint.identity == record.identity:
                return "the joint method is what others are compared with here"
            if not same_network(joint.settings, record.settings):
                networks = [network_of(r.settings).text for r in (record, joint)]
                return f"no joint method of the same network: this is {networks[0]}, {joint.method} {networks[1]}"
        if not math.isnan(value(record, joint)):
            return None
        if "earlier rows" in record.not_evaluated:
            return record.not_evaluated["earlier rows"]
        if joint is not None and "joint" in entry.needs and "earlier rows" in joint.not_evaluated:
            return f"the joint method has no earlier rows: {joint.not_evaluated['earlier rows']}"
        return "not defined for a single task" if len(record.matrix.correct) == 2 else None

    def remark(record: RunRecord, joint: RunRecord | None) -> str | None:
        if "joint" not in entry.needs or joint is None:
            return None
        return f"compared with {joint.method} on the same network, {network_of(joint.settings).text}"

    label, about = LABELS.get(id, id), (entry.name, entry.formula, entry.source)
    return Measure(id, label, entry.kind, entry.direction, *about, value, absent, remark=remark)


OTHER_VIEWS = {
    "masked": "acc of the same logits when only the columns of the test image's own task compete, which is the other "
    "meaning of task-incremental: trained class-incrementally, masked at test",
    "unmasked": "acc of the same logits when the columns of all tasks seen so far compete and no task id is used",
}


def other_accuracy(view: str) -> Measure:
    """ACC of the same logits under the other reading, `view` (see OutputLayout.other_view)."""

    def value(record: RunRecord, joint: RunRecord | None) -> float:
        return record.matrix_other.score("acc") if record.matrix_other else math.nan

    def absent(record: RunRecord, joint: RunRecord | None) -> str | None:
        if record.matrix_other is None:
            return f"answers only for the task that it is told: its logits have no {view} reading"
        return None

    return Measure(f"acc.{view}", f"ACC {view}", "fraction", "higher", OTHER_VIEWS[view], "", "", value, absent)


def _inference(record: RunRecord, joint: RunRecord | None) -> float:
    return float(record.flops.inference[-1]) if record.flops.inference else math.nan


def _modules(record: RunRecord, joint: RunRecord | None) -> float:
    return float(record.flops.inference_modules[-1]) if record.flops.inference_modules else math.nan


def _without_attention(record: RunRecord, joint: RunRecord | None) -> str | None:
    if record.flops.inference[-1:] == record.flops.inference_modules[-1:]:
        return None
    return "leaves out products of two activations (attention), which column inference counts"


def _training(record: RunRecord, joint: RunRecord | None) -> float:
    return float(record.flops.training)


def _seconds(record: RunRecord, joint: RunRecord | None) -> float:
    # Reading the data is left out: the first cell of a worker pays for it, the others find it in memory.
    return record.seconds.get("total", math.nan) - record.seconds.get("data", 0.0)


def _memory(record: RunRecord, joint: RunRecord | None) -> float:
    if not record.parameters or not record.memory.stored_bytes:
        return math.nan
    return float(BYTES_PER_PARAMETER * record.parameters[-1]["total"] + sum(record.memory.stored_bytes[-1].values()))


def _cost(
    id: str,
    label: str,
    kind: Kind,
    name: str,
    value: Callable[[RunRecord, RunRecord | None], float],
    remark: Callable[[RunRecord, RunRecord | None], str | None] = _nothing,
) -> Measure:
    return Measure(id, label, kind, "lower", name, "", "", value, _nothing, ranked=False, remark=remark)


_COSTS = (
    _cost(
        "flops.inference",
        "inference",
        "flops per image",
        "FLOPs of one prediction for one image after the last task, 2 per multiply-add",
        _inference,
    ),
    _cost(
        MODULES,
        "inference, modules only",
        "flops per image",
        "the same, but only products with a weight: without those of two activations, such as attention's. Papers on "
        "transformers often print this smaller count",
        _modules,
        _without_attention,
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
