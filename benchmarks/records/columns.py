"""Columns of the frame of results, scores of the matrix and costs: what each counts and what is said of it.

Known without torch, and without the records that fill them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.request.errors import SettingsError
from metrics import SCORES
from scenarios.nearest import nearest

Kind = Literal["fraction", "difference", "flops per image", "flops", "seconds", "bytes"]
Direction = Literal["higher", "lower"]

BYTES_PER_PARAMETER = 4
MODULES = "flops.inference_modules"
TUNING = "flops.tuning"
OTHER_VIEWS = {view: f"acc.{view}" for view in ("masked", "unmasked")}
"""Columns of ACC of the same logits under the other reading, see `RunRecord.matrix_other_view`."""
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
    problems = [
        f"unknown metric {id!r}{nearest(id, known, '`list metrics` names them all')}"
        for id in dict.fromkeys(metrics)
        if id not in known
    ]
    if not metrics:
        problems = ["no metric named: give score ids, e.g. acc,fm.mean"]
    if problems:
        raise SettingsError(problems)


def measure(id: str) -> Measure:
    """The score, cost or other reading of ACC that is called `id`."""
    return (COSTS | _OTHERS).get(id) or score_measure(id)


def score_measure(id: str) -> Measure:
    """The score `id` of a record's matrix."""
    entry = SCORES[id]
    return Measure(id, LABELS.get(id, id), entry.kind, entry.direction, entry.name, entry.formula, entry.source)


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
        "the same, but only products with a weight of the network: not attention, not those with stored means or features. "
        "Papers on transformers often print this smaller count",
    ),
    "flops.training": (
        "training",
        "flops",
        "FLOPs of all training on all tasks: forward, backward, replay, penalties, work before and after a task's training",
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
