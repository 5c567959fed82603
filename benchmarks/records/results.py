"""All that the records of a suite say, as two pandas frames: a row per record, and a row per record and task.

Every table, plot and verdict is a view of these; none reads records for a number. Accuracies are fractions.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from benchmarks.records.columns import BYTES_PER_PARAMETER, MODULES, OTHER_VIEWS, TUNING
from benchmarks.records.matching import begun_seeds, records_of
from benchmarks.records.networks import Settings, network_of
from benchmarks.records.record import Counts, RunRecord
from benchmarks.records.remarks import why_absent
from benchmarks.records.store import Scan
from benchmarks.request import declarations
from benchmarks.request.grid import Grid
from benchmarks.request.tuned import Choice, how_chosen, tuned_choice
from metrics import SCORES, Summary, average_accuracy_curve, mean_accuracy_curve, per_task_forgetting, summarise
from metrics.matrix_stack import MatrixStack
from metrics.scores import Need

Role = Literal["upper bound", "lower bound", "method"]
# A number by seed. Any, because a mapping's key type is invariant and `metrics` pairs by anything hashable.
BySeed = dict[Any, float]
Array = NDArray[np.float64]


def _last(values: Sequence[float]) -> float:
    return float(values[-1]) if values else np.nan


def _memory(record: RunRecord) -> float:
    if not record.parameters or not record.memory.stored_bytes:
        return np.nan
    return float(BYTES_PER_PARAMETER * record.parameters[-1]["total"] + sum(record.memory.stored_bytes[-1].values()))


COSTS: dict[str, Callable[[RunRecord], float]] = {
    "flops.inference": lambda record: _last(record.flops.inference),
    MODULES: lambda record: _last(record.flops.inference_modules),
    "flops.training": lambda record: np.nan if record.flops.training is None else float(record.flops.training),
    # Reading the data is left out: the first cell of a worker pays for it, the others find it in memory.
    "seconds": lambda record: record.seconds.get("total", np.nan) - record.seconds.get("data", 0.0),
    "memory": _memory,
}
"""Costs of a record by id, in FLOPs, seconds and bytes, in the order in which a table shows them."""
_SHAPES = ("model", "training")
CURVES = {"mean": mean_accuracy_curve, "average": average_accuracy_curve, "forgetting": per_task_forgetting}
COST_CURVES: dict[str, Callable[[RunRecord], Sequence[float]]] = {
    "flops.inference": lambda record: record.flops.inference,
    "parameters": lambda record: [own["total"] for own in record.parameters],
}


def needing(*needs: Need) -> set[str]:
    """Ids of the scores that need any of `needs` beyond the accuracies on tasks seen so far; plug-ins' too."""
    return {id for id, entry in SCORES.items() if set(needs) & set(entry.needs)}


def frame_of(records: Sequence[RunRecord], joints: Sequence[RunRecord | None] | None = None) -> pd.DataFrame:
    """A row per record: scenario, method, seed, status, every score and cost by its id, the record itself, and the joint
    method's record that scores against it are taken from (`joints`, one per record).

    NaN is what a record does not tell; `why_absent` says why.
    """
    joints = [None] * len(records) if joints is None else joints
    against_joint = needing("joint")
    columns: dict[str, Any] = {
        name: [getattr(record, name) for record in records] for name in ("scenario", "method", "seed", "status")
    }
    columns |= {id: np.full(len(records), np.nan) for id in (*SCORES, *OTHER_VIEWS.values())}
    for rows, stack in _stacks(dict(enumerate(record.matrix for record in records))):
        for id in SCORES.keys() - against_joint:
            columns[id][rows] = SCORES[id].function(stack)
    networks = _networks([*records, *filter(None, joints)])
    for rows, stack in _stacks({k: r.matrix for k, r in enumerate(records) if _comparable(r, joints[k], networks)}):
        joint = MatrixStack([joints[k].matrix.arrays for k in rows])  # type: ignore[union-attr]
        for id in against_joint:
            columns[id][rows] = SCORES[id].function(stack, joint)
    for view, column in OTHER_VIEWS.items():
        shown = {k: r.matrix_other for k, r in enumerate(records) if r.matrix_other and r.matrix_other_view == view}
        for rows, stack in _stacks(shown):
            columns[column][rows] = SCORES["acc"].function(stack)
    unseen = np.array(["unseen tasks" in record.not_evaluated for record in records], dtype=bool)
    for id in needing("unseen tasks", "untrained row"):
        columns[id][unseen] = np.nan
    columns |= {id: np.array([cost(record) for record in records], dtype=float) for id, cost in COSTS.items()}
    for name, objects in (("record", records), ("joint", joints)):
        columns[name] = np.fromiter(objects, dtype=object, count=len(records))
    return pd.DataFrame(columns)


def _networks(records: Iterable[RunRecord]) -> dict[int, tuple[str, Settings]]:
    """What is equal of records of the same network, by each record's id."""
    return {key: network_of(record.settings).compared for key, record in {id(r): r for r in records}.items()}


def _comparable(record: RunRecord, joint: RunRecord | None, networks: Mapping[int, tuple[str, Settings]]) -> bool:
    return (
        joint is not None
        and joint.identity != record.identity
        and len(joint.matrix.correct) == len(record.matrix.correct)
        and networks[id(joint)] == networks[id(record)]
    )


def _stacks(counts: Mapping[int, Counts]) -> Iterator[tuple[list[int], MatrixStack]]:
    """The rows that have the same number of tasks, with their matrices."""
    groups: dict[int, list[int]] = {}
    for row, own in counts.items():
        groups.setdefault(len(own.correct), []).append(row)
    for rows in groups.values():
        yield rows, MatrixStack([counts[row].arrays for row in rows])


def curves_of(frame: pd.DataFrame) -> pd.DataFrame:
    """What the records of `frame` say after each task, a row per row of it and task (from 1): the mean accuracy on the
    tasks so far, the accuracy on all their images, how much of each task is forgotten at the end, FLOPs of a prediction,
    parameters. NaN where a record has no entry."""
    parts = [pd.DataFrame(columns=["row", "task", *CURVES, *COST_CURVES]).set_index(["row", "task"])]
    records: dict[int, RunRecord] = dict(zip(frame.index.tolist(), frame["record"], strict=True))
    for rows, stack in _stacks({row: record.matrix for row, record in records.items()}):
        columns = {name: curve(stack) for name, curve in CURVES.items()}
        for name, read in COST_CURVES.items():
            lists = ([*read(records[row]), *[np.nan] * stack.n_tasks][: stack.n_tasks] for row in rows)
            columns[name] = np.array(list(lists), dtype=float)
        index = pd.MultiIndex.from_product([rows, range(1, stack.n_tasks + 1)], names=["row", "task"])
        parts.append(pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index))
    return pd.concat(parts[1:] or parts)


@dataclass(frozen=True)
class Runs:
    """One scenario. seeds: all that the suite asks for. frame: its rows of the suite's frame, whatever their status, as
    the suite lists the methods and by seed. roles: of the methods that the suite does not leave out here; left_out: why it
    leaves out the others. settings: of each method that can run, as resolved in its records or, before
    there are any, in its cells; not of other programs, whose predictions were scored. impossible: why the others cannot
    run. chosen: how the hyperparameters of each that can run were chosen; tuned: of those that were tuned, what was chosen
    at what cost. begun: published seeds that are left out, as only so many of so many methods
    have run them; begun_records: what those have left."""

    scenario: str
    setting: str
    seeds: tuple[int, ...]
    roles: dict[str, Role]
    frame: pd.DataFrame
    settings: dict[str, Settings]
    impossible: dict[str, str]
    chosen: dict[str, str] = field(default_factory=dict)
    tuned: dict[str, Choice] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    begun: dict[int, tuple[int, int]] = field(default_factory=dict)
    begun_records: tuple[RunRecord, ...] = ()

    @cached_property
    def records(self) -> dict[str, dict[int, RunRecord]]:
        """By method, then seed."""
        return self._by_seed(self.frame)

    @cached_property
    def scored(self) -> dict[str, list[RunRecord]]:
        """The records of other programs' predictions, by what the programs are called."""
        return {
            method: [r for r in own.values() if r.scored]
            for method, own in self.records.items()
            if any(r.scored for r in own.values())
        }

    @cached_property
    def done_frame(self) -> pd.DataFrame:
        """The rows of successful records: the only ones that a mean is taken over."""
        return self.frame[self.frame["status"] == "done"]

    @cached_property
    def _done(self) -> dict[str, dict[int, RunRecord]]:
        return self._by_seed(self.done_frame)

    def done(self, method: str) -> dict[int, RunRecord]:
        """The successful records of `method` by seed."""
        return self._done[method]

    def joint(self, method: str) -> list[RunRecord | None]:
        """The joint method's records that those of `done` are compared with."""
        return [joint for own, _, _, joint in self._keys if own == method]

    @cached_property
    def _keys(self) -> list[tuple[str, int, RunRecord, RunRecord | None]]:
        """Of each row of `done_frame`, read once: pandas takes long over single elements."""
        columns = (self.done_frame[name].tolist() for name in ("method", "seed", "record", "joint"))
        return list(zip(*columns, strict=True))

    def values(self, id: str) -> dict[str, BySeed]:
        """The score or cost `id` of successful records by method and seed, but of those that have none for a reason."""
        return self._numbers(id)[0]

    def summaries(self, id: str) -> dict[str, Summary]:
        """Mean and interval of `values` of each method, NaN with n = 0 for one that has none."""
        if id not in self._summaries:
            self._summaries[id] = {method: summarise(list(own.values())) for method, own in self.values(id).items()}
        return self._summaries[id]

    @cached_property
    def _summaries(self) -> dict[str, dict[str, Summary]]:
        return {}

    def reasons(self, id: str) -> dict[str, dict[str, list[int]]]:
        """Why the other successful records have no number `id`: by method and reason the seeds."""
        return self._numbers(id)[1]

    def _numbers(self, id: str) -> tuple[dict[str, BySeed], dict[str, dict[str, list[int]]]]:
        if id not in self._known:
            values: dict[str, BySeed] = {method: {} for method in self.roles}
            reasons: dict[str, dict[str, list[int]]] = {method: {} for method in self.roles}
            for (method, seed, record, joint), value in zip(self._keys, self.done_frame[id].tolist(), strict=True):
                reason = why_absent(id, record, joint) if math.isnan(value) else None
                if reason is None:
                    values[method][seed] = value
                else:
                    reasons[method].setdefault(reason, []).append(seed)
            self._known[id] = values, reasons
        return self._known[id]

    @cached_property
    def _known(self) -> dict[str, tuple[dict[str, BySeed], dict[str, dict[str, list[int]]]]]:
        return {}

    @cached_property
    def means(self) -> pd.DataFrame:
        """Of each method with successful records the means over seeds of ACC and the costs, as the suite lists them."""
        groups = self.done_frame.groupby("method", sort=False)[["acc", *COSTS]]
        return groups.mean().where(groups.count().eq(groups.size(), axis=0))

    def buffer_sizes(self, methods: Iterable[str]) -> list[tuple[str, dict[int, str]]]:
        """Those of `methods` that differ in nothing but the size of their buffer: the method in METHODS, and by rising
        size what the suite calls it."""
        groups: dict[str, dict[int, str]] = {}
        for method in [method for method in methods if method in self.settings]:
            own = dict(self.settings[method]["method"]["settings"])
            if size := own.pop("buffer_size", None):
                rest = [self.settings[method]["method"]["name"], own, *(self.settings[method][k] for k in _SHAPES)]
                groups.setdefault(json.dumps(rest, sort_keys=True), {})[int(size)] = method
        return [(json.loads(key)[0], dict(sorted(own.items()))) for key, own in groups.items() if len(own) > 1]

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The rows of successful records in the suite's frame of curves."""
        return curves_of(self.done_frame)

    def curve(self, method: str, name: str) -> Array:
        """One of `curves` of a method, [seeds, tasks]."""
        if name not in self._curves:
            self._curves[name] = self.curves[name].to_numpy().reshape(len(self.done_frame), -1)
        return self._curves[name][[own == method for own, *_ in self._keys]]

    @cached_property
    def _curves(self) -> dict[str, Array]:
        return {}

    def named(self, role: Role) -> list[str]:
        """The methods in this role, in the suite's order."""
        return [method for method, own in self.roles.items() if own == role]

    def competitors(self) -> list[str]:
        """The methods that are ranked: no bounds, and all with the same seeds (`most_seeds`).

        A mean over fewer seeds is a mean over other problems: a method with one lucky seed would win.
        """
        seeds = {method: frozenset(self.done(method)) for method in self.named("method")}
        most = most_seeds(seeds.values())
        return [method for method, own in seeds.items() if own and own == most]

    def _by_seed(self, rows: pd.DataFrame) -> dict[str, dict[int, RunRecord]]:
        found: dict[str, dict[int, RunRecord]] = {method: {} for method in self.roles}
        for record in rows["record"]:
            found[record.method][record.seed] = record
        return found


def most_seeds(seeds: Iterable[frozenset[int]]) -> frozenset[int]:
    """Of the sets of seeds that methods have the largest; of equally large ones that of the most methods."""
    methods = Counter(seeds)
    return max(methods, key=lambda own: (len(own), methods[own]), default=frozenset())


@dataclass(frozen=True, eq=False)
class Results:
    """A suite's records. frame: as `frame_of`, scenario by scenario. runs: a view of it for each scenario, in the suite's
    order. `scan` says what else is known of the records."""

    grid: Grid
    scan: Scan
    frame: pd.DataFrame
    runs: tuple[Runs, ...]

    @cached_property
    def curves(self) -> pd.DataFrame:
        """As `curves_of` the successful records."""
        return pd.concat([runs.curves for runs in self.runs])


_kept: list[tuple[tuple[RunRecord, ...], Results]] = []


def results_of(grid: Grid, scan: Scan) -> Results:
    """The results of `grid`: of its cells, those that `scan` has a record of, under the names that the suite gives them.

    The last ones are kept: a suite's tables and its part of the page are of the same.
    """
    records = tuple(scan.records.values())
    for read, last in _kept:
        if last.grid is grid and last.scan is scan and read == records:
            return last
    _kept[:] = [(records, _results_of(grid, scan))]
    return _kept[0][1]


def _results_of(grid: Grid, scan: Scan) -> Results:
    suite = grid.suite
    roles = {name: _role(settings.get("method", name)) for name, settings in suite.methods.items()}
    roles |= dict.fromkeys(grid.scored_names, "method")
    place = {name: k for names in (suite.scenarios, roles) for k, name in enumerate(names)}
    begun = begun_seeds(grid, scan) if scan.published else {}
    found = records_of(grid, scan)
    left = [record for record in found if record.seed in begun.get(record.scenario, ())]
    counted = [record for record in found if record.seed not in begun.get(record.scenario, ())]
    records = sorted(counted, key=lambda r: (place[r.scenario], place[r.method], r.seed))
    frame = frame_of(records, _joints(records, roles))
    resolved: dict[tuple[str, str], Settings] = {}
    for record in records:
        if not record.scored:
            resolved.setdefault((record.scenario, record.method), record.settings)
    for cell in grid.cells:
        if (cell.scenario_name, cell.method_name) not in resolved:
            resolved[cell.scenario_name, cell.method_name] = cell.identity_settings()
    runs = []
    for scenario, settings in suite.scenarios.items():
        impossible = {method: why for (name, method), why in grid.impossible.items() if name == scenario}
        own = {method: resolved[scenario, method] for method in roles if (scenario, method) in resolved}
        chosen = {method: how_chosen(suite, scenario, method, own[method]) for method in own}
        choices = {method: tuned_choice(suite, scenario, method, own[method]) for method in own}
        tuned = {method: choice for method, choice in choices.items() if choice is not None}
        rows = frame[frame["scenario"] == scenario]
        tuning = {method: float(choice.flops) for method, choice in tuned.items()}
        rows = rows.assign(**{TUNING: rows["method"].map(tuning).fillna(0.0).astype(float)})
        seeds = tuple(suite.seeds_of(scenario))
        left_out = {method: why for method in roles if (why := suite.left_out(scenario, method))}
        here = {method: role for method, role in roles.items() if method not in left_out}
        if not here:  # nothing else was asked for
            here, left_out = dict(roles), {}
        runs.append(
            Runs(
                scenario,
                settings["setting"],
                seeds,
                here,
                rows,
                own,
                impossible,
                chosen,
                tuned,
                left_out,
                begun.get(scenario, {}),
                tuple(record for record in left if record.scenario == scenario),
            )
        )
    return Results(grid, scan, frame, tuple(runs))


def pareto_front(cost: ArrayLike, value: ArrayLike) -> NDArray[np.bool_]:
    """Which of them no other beats in `value` at the same or a lower cost: of equal ones, all. A bool for each."""
    c, v = np.asarray(cost, dtype=float), np.asarray(value, dtype=float)
    at_least = (c[None] <= c[:, None]) & (v[None] >= v[:, None])
    beats = at_least & ((c[None] < c[:, None]) | (v[None] > v[:, None]))
    return np.logical_not(beats.any(axis=1))


def _joints(records: Sequence[RunRecord], roles: Mapping[str, Role]) -> list[RunRecord | None]:
    """For each record the upper bound's with its scenario and seed: one of the same network, where there is one."""
    bounds: dict[tuple[str, int], list[RunRecord]] = {}
    for record in records:
        if roles[record.method] == "upper bound" and record.status == "done":
            bounds.setdefault((record.scenario, record.seed), []).append(record)
    networks = _networks(records)
    found = []
    for record in records:
        own = bounds.get((record.scenario, record.seed), [])
        same = [joint for joint in own if networks[id(joint)] == networks[id(record)]]
        found.append(next(iter([*same, *own]), None))
    return found


def _role(name: str) -> Role:
    declared = declarations.method(name)
    assert declared is not None, "a suite names no others"
    if declared.sees_past_data:
        return "upper bound"
    return "lower bound" if declared.family == "baseline" else "method"
