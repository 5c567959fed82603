"""What a column of a table can show, a score of the matrix or a cost, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks.records.columns import BYTES_PER_PARAMETER, MODULES, OTHER_VIEWS, TUNING
from benchmarks.request.errors import SettingsError
from metrics import SCORES
from scenarios.nearest import nearest

if TYPE_CHECKING:  # what costs there are is told without torch
    from benchmarks.records.record import RunRecord
    from benchmarks.records.results import Runs

Kind = Literal["fraction", "difference", "flops per image", "flops", "seconds", "bytes"]
Direction = Literal["higher", "lower"]

HEADLINE = ("acc", "bwt", "fwt", "fm.mean", "la", "aa")
LABELS = {"acc": "ACC", "bwt": "BWT", "fwt": "FWT", "fm.mean": "FM (fm.mean)", "la": "LA", "aa": "AA", "d": "D"}


@dataclass(frozen=True)
class Measure:
    """A column of the frame of results (its `id`).

    label: how column heads call it. kind: what it counts, which decides its unit. name, formula (of scores only), source:
    what the footer says of it. ranked: whether methods compete in it.
    """

    id: str
    label: str
    kind: Kind
    direction: Direction
    name: str
    formula: str = ""
    source: str = ""
    ranked: bool = True


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
    records = runs.done_frame["record"]
    other_view = min((r.matrix_other_view for r in records if r.matrix_other and r.matrix_other_view), default=None)
    if other_view and "acc" in ids:
        ids.append(OTHER_VIEWS[other_view])
    return [measure(id) for id in ids]


def _usual(runs: Runs) -> list[str]:
    """The headline scores and the costs; D where classes come in turn, there is a joint method, and not all networks
    are MLPs; the FLOPs of modules alone where a record's differ from all FLOPs; those of tuning where a row is tuned."""
    from benchmarks.records.networks import network_of

    mlp = all(network_of(settings).backbone == "mlp" for settings in runs.settings.values())
    d = runs.setting == "class" and runs.named("upper bound") and not mlp
    attention = any(remark(MODULES, record) for record in runs.done_frame["record"])
    costs = [id for id in COSTS if id != MODULES or attention]
    if runs.tuned:
        costs.insert(costs.index("flops.training") + 1, TUNING)
    return [*HEADLINE, *(["d"] if d else []), *costs]


def measure(id: str) -> Measure:
    """The score, cost or other reading of ACC that is called `id`."""
    return (COSTS | _OTHERS).get(id) or score_measure(id)


def score_measure(id: str) -> Measure:
    """The score `id` of a record's matrix."""
    entry = SCORES[id]
    return Measure(id, LABELS.get(id, id), entry.kind, entry.direction, entry.name, entry.formula, entry.source)


def _against_joint(id: str) -> bool:
    return id in SCORES and "joint" in SCORES[id].needs


def is_remarked(id: str) -> bool:
    """Whether `remark` may have a word about it."""
    return id == MODULES or _against_joint(id)


def remark(id: str, record: RunRecord, joint: RunRecord | None = None) -> str | None:
    """What a reader must know of the number `id` of a record, None where that is nothing."""
    if _against_joint(id) and joint is not None:
        from benchmarks.records.networks import network_of

        return f"compared with {joint.method} on the same network, {network_of(joint.settings).text}"
    modules = record.flops.inference_modules
    if id == MODULES and modules and record.flops.inference[-1:] != modules[-1:]:
        return "leaves out products of two activations (attention), which column inference counts"
    return None


_OTHERS = {
    OTHER_VIEWS[view]: Measure(OTHER_VIEWS[view], f"ACC {view}", "fraction", "higher", name)
    for view, name in {
        "masked": "acc of the same logits when only the classes of the test image's own task are active, which is the other "
        "meaning of task-incremental: trained class-incrementally, masked at test",
        "unmasked": "acc of the same logits when the classes of all tasks seen so far are active and no task id is used",
    }.items()
}

_OTHERS[TUNING] = Measure(
    TUNING,
    "tuning",
    "flops",
    "lower",
    "FLOPs of all training in the trials that chose the row's hyperparameters, once for all seeds and for all scenarios that "
    "share the choice; 0 where none were tuned. Not part of training",
    ranked=False,
)
_ABOUT: dict[str, tuple[str, Kind, str]] = {
    "flops.inference": (
        "inference",
        "flops per image",
        "FLOPs of one prediction for one image after the last task, 2 per multiply-add",
    ),
    MODULES: (
        "inference, modules only",
        "flops per image",
        "the same, but only products with a weight: without those of two activations, such as attention's. Papers on "
        "transformers often print this smaller count",
    ),
    "flops.training": (
        "training",
        "flops",
        "FLOPs of all training on all tasks: forward, backward, replay, penalties, work at the end of a task",
    ),
    "seconds": (
        "time (indicative)",
        "seconds",
        "wall-clock time of training and evaluation; other runs may have shared the machine",
    ),
    "memory": (
        "memory",
        "bytes",
        f"bytes held after the last task: {BYTES_PER_PARAMETER} a parameter, and what the method keeps between tasks "
        "(buffers, teachers, penalties); not what training takes",
    ),
}
COSTS = {id: Measure(id, label, kind, "lower", name, ranked=False) for id, (label, kind, name) in _ABOUT.items()}
"""Costs by id, in the order in which a table shows them. They are not ranked: cheap means little without accuracy."""
