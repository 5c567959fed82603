"""Which method to use: read off the records, not from opinion."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from benchmarks.records.record import RunRecord
from benchmarks.records.results import Runs
from benchmarks.report.markdown import escape
from metrics import summarise

BROKEN = 0.5
USELESS = 0.1
HOW_TO_READ = """\
Made from run records by `python -m benchmarks guide`; every line names the records behind it. A method stands on a
Pareto front when no other method of its scenario has a higher mean ACC at the same or a lower cost; joint and finetune
are left out as bounds, and so is what covers less than a tenth of the way from finetune to joint. Means over seeds decide, so neighbours on a front may be ties: see the suite's comparison page.
Costs are those of these small networks and data sets; the order of methods is what carries over, if anything does."""


@dataclass(frozen=True)
class Evidence:
    """The runs of one suite, and where its tables and records lie, relative to the page. places: as in Scan."""

    suite: str
    folder: str
    records: str
    runs: Sequence[Runs]
    places: Mapping[str, str]


@dataclass(frozen=True)
class Standing:
    """One method in one scenario: means over seeds."""

    method: str
    accuracy: float
    training: float
    memory: float
    stores_data: bool
    records: tuple[RunRecord, ...]


def guide(evidence: Sequence[Evidence]) -> str:
    """The page, markdown. Suites without records are left out."""
    parts = ["# Which method, from the records", " ".join(HOW_TO_READ.split())]
    by_setting: dict[str, list[tuple[Evidence, Runs]]] = defaultdict(list)
    for source in evidence:
        for runs in source.runs:
            if standings(runs):
                by_setting[runs.setting].append((source, runs))
    if not by_setting:
        return "\n\n".join([*parts, "No records yet: run a suite first."]) + "\n"
    for setting in ("task", "domain", "class"):
        if setting in by_setting:
            parts.append(f"## {setting}-incremental")
            parts.append(_fronts(by_setting[setting]))
    limits = [text for source in evidence for text in _limits(source)]
    if limits:
        parts += ["## Where methods break", " ".join(_LIMITS.split()), *limits]
    return "\n\n".join(parts) + "\n"


def standings(runs: Runs) -> list[Standing]:
    """The methods between the bounds that have records, best first."""
    found = []
    for method in runs.named("method"):
        records = tuple(runs.done(method).values())
        if not records:
            continue
        found.append(
            Standing(
                method,
                *(_summary(runs, method, id) for id in ("acc", "flops.training", "memory")),
                any("buffer" in r.memory.stored_bytes[-1] for r in records),
                records,
            )
        )
    return sorted(found, key=lambda s: -s.accuracy)


def pareto(candidates: Sequence[Standing], cost: str) -> list[Standing]:
    """Those that no other beats in accuracy at the same or a lower cost ("training" or "memory"), cheapest first."""
    front = [
        s
        for s in candidates
        if not any(
            (o.accuracy >= s.accuracy and getattr(o, cost) < getattr(s, cost))
            or (o.accuracy > s.accuracy and getattr(o, cost) <= getattr(s, cost))
            for o in candidates
        )
    ]
    return sorted(front, key=lambda s: getattr(s, cost))


def _fronts(scenarios: Sequence[tuple[Evidence, Runs]]) -> str:
    """Per scenario the fronts for training cost and memory, and the best without stored data."""
    rows = []
    for source, runs in scenarios:
        all_methods = [s for s in standings(runs) if not _share(runs, s.accuracy) < USELESS]
        without = [s for s in all_methods if not s.stores_data]
        front = pareto(all_methods, "training")
        rows.append(
            [
                f"[{escape(runs.scenario)}]({source.folder}/{source.suite}.md)",
                " → ".join(_with_accuracy(s) for s in front) or "none",
                " → ".join(_with_accuracy(s) for s in pareto(all_methods, "memory")) or "none",
                " → ".join(_with_accuracy(s) for s in pareto(without, "training")) or "none",
                _bounds(runs),
                _links(source, [r for s in all_methods[:1] for r in s.records]),
            ]
        )
    heads = [
        "scenario",
        "ACC against training FLOPs, cheapest first",
        "ACC against memory",
        "without stored data, against training FLOPs",
        "finetune – joint",
        "records of the best",
    ]
    return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True)


_LIMITS = f"""\
Shown is ACC in percent and, behind it, the share of the way from finetune (0) to joint (1) that a method covers in the
same scenario. It breaks (✗) where it covers less than {BROKEN:g}."""


def _limits(source: Evidence) -> list[str]:
    """A table for each thing that a suite varies while all else stays: number of tasks, buffer size."""
    return [
        *(_task_table(source, series) for series in _task_series(source.runs)),
        *(table for runs in source.runs if (table := _buffer_table(source, runs))),
    ]


def _task_series(all_runs: Sequence[Runs]) -> list[list[Runs]]:
    """Scenarios that differ in their number of tasks alone, by growing number."""
    groups: dict[str, list[tuple[int, Runs]]] = defaultdict(list)
    for runs in all_runs:
        settings = next(iter(runs.settings.values()), None)
        if settings is None or not standings(runs):
            continue
        rest = {k: v for k, v in settings["scenario"].items() if k != "tasks"}
        groups[json.dumps(rest, sort_keys=True)].append((settings["scenario"]["tasks"], runs))
    series = [[runs for _, runs in sorted(group, key=lambda pair: pair[0])] for group in groups.values()]
    return [group for group in series if len(group) > 1]


def _task_table(source: Evidence, series: list[Runs]) -> str:
    counts = [next(iter(runs.settings.values()))["scenario"]["tasks"] for runs in series]
    methods = [s.method for s in standings(series[0])]
    rows = []
    for method in methods:
        records = [r for runs in series for r in runs.done(method).values()]
        rows.append([escape(method), *(_share_cell(runs, method) for runs in series), _links(source, records[:1])])
    heads = ["method", *(f"{n} tasks" for n in counts), "a record"]
    title = f"### Number of tasks: {escape(series[0].scenario)} and longer ({source.suite})"
    return f"{title}\n\n" + tabulate(rows, heads, tablefmt="pipe", disable_numparse=True)


def _buffer_table(source: Evidence, runs: Runs) -> str:
    """One method with several buffer sizes in one scenario."""
    groups: dict[str, dict[int, str]] = defaultdict(dict)
    for standing in standings(runs):
        settings: dict[str, Any] = dict(runs.settings[standing.method]["method"])
        size = settings["settings"].get("buffer_size")
        if size is not None:
            rest = {k: v for k, v in settings["settings"].items() if k != "buffer_size"}
            groups[json.dumps([settings["name"], rest], sort_keys=True)][size] = standing.method
    rows = []
    for key, sizes in groups.items():
        if len(sizes) > 1:
            for size, method in sorted(sizes.items()):
                records = list(runs.done(method).values())
                rows.append([escape(json.loads(key)[0]), size, _share_cell(runs, method), _links(source, records)])
    if not rows:
        return ""
    heads = ["method", "buffer size", "ACC (share of the way to joint)", "records"]
    title = f"### Buffer size: {escape(runs.scenario)} ({source.suite})"
    return f"{title}\n\n" + tabulate(rows, heads, tablefmt="pipe", disable_numparse=True)


def _share_cell(runs: Runs, method: str) -> str:
    if not runs.done(method):
        return "diverged ✗" if any(r.status == "diverged" for r in runs.records[method].values()) else "n/a"
    accuracy = _summary(runs, method, "acc")
    share = _share(runs, accuracy)
    if math.isnan(share):
        return f"{100 * accuracy:.1f}"
    return f"{100 * accuracy:.1f} ({round(share, 2) + 0.0:.2f})" + (" ✗" if share < BROKEN else "")


def _share(runs: Runs, accuracy: float) -> float:
    """How much of the way from finetune (0) to joint (1) an accuracy covers; NaN where a bound is missing."""
    low, high = (_bound(runs, role) for role in ("lower bound", "upper bound"))
    return (accuracy - low) / (high - low) if high > low else math.nan


def _bounds(runs: Runs) -> str:
    low, high = (_bound(runs, role) for role in ("lower bound", "upper bound"))
    return f"{100 * low:.1f} – {100 * high:.1f}"


def _bound(runs: Runs, role: Any) -> float:
    means = [_summary(runs, m, "acc") for m in runs.named(role) if runs.done(m)]
    return means[0] if means else math.nan


def _summary(runs: Runs, method: str, id: str) -> float:
    """The mean over seeds."""
    return summarise(list(runs.values(id)[method].values())).mean


def _with_accuracy(standing: Standing) -> str:
    return f"{escape(standing.method)} {100 * standing.accuracy:.1f}"


def _links(source: Evidence, records: Sequence[RunRecord]) -> str:
    """A link to each record, named by its seed."""
    return " ".join(f"[{r.seed}]({source.records}/{source.places[r.identity]})" for r in records)
