"""Which method to use: read off the records, not from opinion."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.records.record import RunRecord
from benchmarks.records.results import Role, Runs, pareto_front
from benchmarks.report.markdown import escape, pipe_table

BROKEN = 0.5
USELESS = 0.1
HOW_TO_READ = """\
Made from run records by `python -m benchmarks guide`; every line names the records behind it. A method stands on a
Pareto front when no other method of its scenario has a higher mean ACC at the same or a lower cost. The bounds are left
out: joint above, finetune below or, on frozen features, linear-probe (of both the lower one). So is, where both bounds
have run, what covers less than a tenth of the way between them. A method with fewer seeds than
others, or others, is left out and named with their number. Means over seeds decide, so neighbours on a front may be ties, and of one seed chance: see the suite's comparison page.
Methods without stored images may keep features or statistics of them. Costs are those of these small networks and data
sets; neither they nor the order of methods need carry over to larger ones."""


@dataclass(frozen=True)
class Evidence:
    """The runs of one suite, and where its tables and records lie, relative to the page. places: as in Scan."""

    suite: str
    folder: str
    records: str
    runs: Sequence[Runs]
    places: Mapping[str, str]

    def links(self, records: Sequence[RunRecord]) -> str:
        """A link to each record, named by its seed."""
        return " ".join(f"[{r.seed}]({self.records}/{self.places[r.identity]})" for r in records)


def guide(evidence: Sequence[Evidence]) -> str:
    """The page, markdown. Suites without records are left out."""
    parts = ["# Which method, from the records", " ".join(HOW_TO_READ.split())]
    by_setting: dict[str, list[dict[str, str]]] = defaultdict(list)
    for source in evidence:
        for runs in source.runs:
            if len(standings(runs)):
                by_setting[runs.setting].append(_fronts(source, runs))
    if not by_setting:
        return "\n\n".join([*parts, "No records yet: run a suite first."]) + "\n"
    for setting in ("task", "domain", "class"):
        if rows := by_setting.get(setting):
            parts += [f"## {setting}-incremental", pipe_table([list(row.values()) for row in rows], list(rows[0]))]
    limits = [text for source in evidence for text in _limits(source)]
    if limits:
        parts += ["## Where methods break", " ".join(_LIMITS.split()), *limits]
    return "\n\n".join(parts) + "\n"


def standings(runs: Runs) -> pd.DataFrame:
    """The means over seeds of the methods between the bounds that have records, best first."""
    ranked = runs.means.loc[[runs.roles[method] == "method" for method in runs.means.index]]
    return ranked.sort_values("acc", ascending=False, kind="stable")


def front(means: pd.DataFrame, cost: str) -> str:
    """ "finetune 45.1 → er 78.2": the methods that no other beats in ACC at the same or a lower cost, cheapest first; those
    of which the cost is known."""
    means = means[means[cost].notna()]
    best = means[pareto_front(means[cost], means["acc"])].sort_values(cost, kind="stable")
    return " → ".join(f"{escape(str(method))} {100 * acc:.1f}" for method, acc in best["acc"].items()) or "none"


def _fronts(source: Evidence, runs: Runs) -> dict[str, str]:
    """A scenario's fronts for training cost and memory, and that without stored images, by the heads of the table."""
    means, ranked = standings(runs), runs.competitors()
    means = means.loc[[m in ranked and not _share(runs, acc) < USELESS for m, acc in means["acc"].items()]]
    stores = [any(map(_may_store, runs.done(m).values())) for m in means.index]
    return {
        "scenario": f"[{escape(runs.scenario)}]({source.folder}/{source.suite}.md)",
        "seeds": _seeds(runs),
        "ACC against training FLOPs, cheapest first": front(means, "flops.training"),
        "ACC against memory": front(means, "memory"),
        "without stored images, against training FLOPs": front(means.loc[np.logical_not(stores)], "flops.training"),
        "lower – upper bound": f"{_bound_text(runs, 'lower bound')} – {_bound_text(runs, 'upper bound')}",
        "records of the best": source.links([r for method in means.index[:1] for r in runs.done(method).values()]),
    }


def _seeds(runs: Runs) -> str:
    """How many seeds the ranked methods have, and who is left out for having others."""
    ranked = runs.competitors()
    others = [f"{escape(m)} with {len(runs.done(m))}" for m in runs.named("method") if runs.done(m) and m not in ranked]
    count = str(len(runs.done(ranked[0]))) if ranked else "none"
    return count + (f" (left out: {', '.join(others)})" if others else "")


def _bound_text(runs: Runs, role: Role) -> str:
    bound = _bound(runs, role)
    return "not run" if math.isnan(bound) else f"{100 * bound:.1f}"


def _may_store(record: RunRecord) -> bool:
    """Whether a method keeps images; where predictions were scored, that may not be known."""
    stored = record.memory.stored_bytes
    return not stored or "buffer" in stored[-1] or (record.scored is not None and sum(stored[-1].values()) > 0)


_LIMITS = f"""\
Shown is ACC in percent and, behind it, the share of the way from the lower bound (0) to joint (1) that a method covers in
the same scenario. It breaks (✗) where it covers less than {BROKEN:g}."""


def _limits(source: Evidence) -> list[str]:
    """A table for each thing that a suite varies while all else stays: number of tasks, buffer size."""
    return [
        *(_task_table(source, series) for series in _task_series(source.runs)),
        *(table for runs in source.runs if (table := _buffer_table(source, runs))),
    ]


def _task_series(all_runs: Sequence[Runs]) -> list[dict[int, Runs]]:
    """Scenarios that differ in their number of tasks alone, by growing number."""
    groups: dict[str, dict[int, Runs]] = defaultdict(dict)
    for runs in all_runs:
        if len(standings(runs)):
            settings = dict(next(iter(runs.settings.values()))["scenario"])
            tasks = settings.pop("tasks")
            groups[json.dumps(settings, sort_keys=True)][tasks] = runs
    return [dict(sorted(group.items())) for group in groups.values() if len(group) > 1]


def _task_table(source: Evidence, series: dict[int, Runs]) -> str:
    shortest = next(iter(series.values()))
    rows = []
    for method in standings(shortest).index:
        records = [r for runs in series.values() for r in runs.done(method).values()]
        cells = [_share_cell(runs, method) for runs in series.values()]
        rows.append([escape(method), *cells, source.links(records[:1])])
    title = f"### Number of tasks: {escape(shortest.scenario)} and longer ({source.suite})"
    return f"{title}\n\n" + pipe_table(rows, ["method", *(f"{n} tasks" for n in series), "a record"])


def _buffer_table(source: Evidence, runs: Runs) -> str:
    """One method with several buffer sizes in one scenario."""
    rows = [
        [escape(base), size, _share_cell(runs, method), source.links(list(runs.done(method).values()))]
        for base, sizes in runs.buffer_sizes(standings(runs).index)
        for size, method in sizes.items()
    ]
    if not rows:
        return ""
    title = f"### Buffer size: {escape(runs.scenario)} ({source.suite})"
    return f"{title}\n\n" + pipe_table(rows, ["method", "buffer size", "ACC (share of the way to joint)", "records"])


def _share_cell(runs: Runs, method: str) -> str:
    if method not in runs.means.index:
        return "diverged ✗" if any(r.status == "diverged" for r in runs.records[method].values()) else "n/a"
    accuracy = float(runs.means["acc"][method])
    share = _share(runs, accuracy)
    fewer = "" if method in runs.competitors() else f", {len(runs.done(method))} of {len(runs.seeds)} seeds"
    if math.isnan(share):
        return f"{100 * accuracy:.1f}{fewer}"
    return f"{100 * accuracy:.1f} ({round(share, 2) + 0.0:.2f}){fewer}" + (" ✗" if share < BROKEN else "")


def _share(runs: Runs, accuracy: float) -> float:
    """How much of the way from the lower bound (0) to the upper one (1) an accuracy covers; NaN where a bound is missing."""
    low, high = _bound(runs, "lower bound"), _bound(runs, "upper bound")
    return (accuracy - low) / (high - low) if high > low else math.nan


def _bound(runs: Runs, role: Role) -> float:
    """The mean ACC of a bound: where a suite has two lower ones (finetune, linear-probe), of the lower; NaN of none."""
    found = [float(runs.means["acc"][m]) for m in runs.named(role) if m in runs.means.index]
    return min(found, default=math.nan) if role == "lower bound" else max(found, default=math.nan)
