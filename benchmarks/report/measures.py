"""Which columns a table shows."""

from __future__ import annotations

from benchmarks.records.columns import COSTS, MODULES, OTHER_VIEWS, TUNING, Measure, measure
from benchmarks.records.networks import network_of
from benchmarks.records.remarks import remark
from benchmarks.records.results import Runs

HEADLINE = ("acc", "bwt", "fwt", "fm.mean", "la", "aa")


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
    mlp = all(network_of(settings).backbone == "mlp" for settings in runs.settings.values())
    d = runs.setting == "class" and runs.named("upper bound") and not mlp
    attention = any(remark(MODULES, record) for record in runs.done_frame["record"])
    costs = [id for id in COSTS if id != MODULES or attention]
    if runs.tuned:
        costs.insert(costs.index("flops.training") + 1, TUNING)
    return [*HEADLINE, *(["d"] if d else []), *costs]
