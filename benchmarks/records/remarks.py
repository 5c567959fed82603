"""What a reader must know of the numbers of a record: why one is absent, and what one leaves unsaid."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.records.columns import MODULES, OTHER_VIEWS
from benchmarks.records.networks import network_of, same_network
from benchmarks.records.record import RunRecord
from benchmarks.wording import spread
from metrics import SCORES

NOT_GIVEN = "not given with the predictions of another program"
MEMORIES = {
    "distributed": "divided among them; two may hold the same",
    "shards": "divided among them by shards of the data",
    "each": "which each rank has: does not compare with other methods",
}
"""What the budget is to a rank, by the setting `memory` of a method."""


def cost_of_past_data(id: str, records: Iterable[RunRecord]) -> str | None:
    """What the cost `id` of an upper bound with these records leaves unsaid."""
    once = all("earlier rows" in record.not_evaluated for record in records)
    if id in ("flops.training", "seconds"):
        return (
            "of one training, on the data of all tasks"
            if once
            else "adds up the trainings on all data so far, one for every task"
        )
    if id == "memory":
        return "leaves out the training data of all tasks, which this method needs" + (
            "" if once else " again with every task"
        )
    return None


def why_absent(id: str, record: RunRecord, joint: RunRecord | None = None) -> str | None:
    """Why the frame has no number `id` of this record; None where there should be one."""
    if id in OTHER_VIEWS.values():
        view = id.removeprefix("acc.")
        return (
            None
            if record.matrix_other
            else "classes were scored, not logits"
            if record.scored
            else f"answers only for the task that it is told: its logits have no {view} reading"
        )
    if id not in SCORES:
        return NOT_GIVEN if record.scored else None
    if {"unseen tasks", "untrained row"} & set(SCORES[id].needs) and "unseen tasks" in record.not_evaluated:
        return record.not_evaluated["unseen tasks"]
    if "joint" in SCORES[id].needs:
        if joint is None:
            return "needs the joint method's record with the same seed"
        if joint.identity == record.identity:
            return "the joint method is what others are compared with here"
        if not same_network(joint.settings, record.settings):
            networks = [network_of(r.settings).text for r in (record, joint)]
            return f"no joint method of the same network: this is {networks[0]}, {joint.method} {networks[1]}"
    if "earlier rows" in record.not_evaluated:
        return record.not_evaluated["earlier rows"]
    if joint is not None and "joint" in SCORES[id].needs and "earlier rows" in joint.not_evaluated:
        return f"the joint method has no earlier rows: {joint.not_evaluated['earlier rows']}"
    return "not defined for a single task" if len(record.matrix.correct) == 2 else None


def _against_joint(id: str) -> bool:
    return id in SCORES and "joint" in SCORES[id].needs


def is_remarked(id: str) -> bool:
    """Whether `remark` may have a word about it."""
    return id == MODULES or _against_joint(id)


def remark(id: str, record: RunRecord, joint: RunRecord | None = None) -> str | None:
    """What a reader must know of the number `id` of a record, None where that is nothing."""
    if _against_joint(id) and joint is not None:
        return f"compared with {joint.method} on the same network, {network_of(joint.settings).text}"
    modules = record.flops.inference_modules
    if id == MODULES and modules and record.flops.inference[-1:] != modules[-1:]:
        return (
            "leaves out products without a weight of the network (attention, stored means or features), which column "
            "inference counts"
        )
    return None


def memory_remarks(method: str, records: Iterable[RunRecord]) -> list[str]:
    """How many exemplars a method really held, where each of several ranks has a memory of its own."""
    held: dict[tuple[str, int, int], list[int]] = {}
    for record in records:
        settings = record.settings["method"]["settings"]
        sharing, ranks, last = settings.get("memory", "global"), settings.get("ranks", 1), record.diagnostics[-1:]
        if sharing != "global" and ranks > 1 and last and "exemplars" in last[0]:
            held.setdefault((sharing, ranks, settings["buffer_size"]), []).append(round(last[0]["exemplars"]))
    return [
        f"{method}: {spread(counts)} distinct exemplars held over all {ranks} ranks after the last task, "
        f"{'MORE than' if max(counts) > budget else 'of'} the budget of {budget:,} ({MEMORIES[sharing]})"
        for (sharing, ranks, budget), counts in held.items()
    ]
