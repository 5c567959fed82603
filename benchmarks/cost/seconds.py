"""How long a cell takes on this machine, from a few measured steps.

The method takes real steps in its first two tasks that have any, on images of the right shape and no content, a few of
a class, so that what it does when a task ends costs little. A step of a later task takes as much longer as it has more
FLOPs. The end of tasks and evaluation are assumed to run at the FLOPs per second of training. So are, on a processor, the
large steps of other methods with the same network: those of ResNet-18 differed by 10 % there from method to
method, those of one an eighth as wide by 20 %.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch

from benchmarks.cell.features import prepared
from benchmarks.cell.matmul_backend import fast_products
from benchmarks.cell.run import task_view
from benchmarks.cell.timing import own_time
from benchmarks.cost.count import CellCost
from benchmarks.cost.empty import empty_scenario
from benchmarks.cost.phase import PhaseCost
from benchmarks.request.suite import CellSettings
from methods import Batch, Method, Phase, method_class

ENOUGH_FLOPS = 1e10
"""On a processor, steps of more are measured on a part of the batch: time grows with the number of images there."""
LARGE_FLOPS = 2e9
"""Steps of more take, on a processor, what their products take: their FLOPs per second are those of the network."""
ENOUGH_SECONDS = 0.5
"""After which no further step of a phase is measured."""


@dataclass(frozen=True)
class Measured:
    """Seconds for a step of each phase of one task, beside the FLOPs of that step."""

    seconds: list[float]
    flops: list[int]


class StepTimer:
    """Measures cells on `device`, `steps` steps a phase; pairs that differ in the stream alone are measured once, and on
    a processor one method of those that take large steps with the same network."""

    def __init__(self, device: str = "cpu", steps: int = 3, data_root: str | None = None):
        self.device, self.steps, self.data_root = torch.device(device), steps, data_root
        self._known: dict[str, list[Measured]] = {}
        self._flops_per_second: dict[str, float] = {}

    def seconds(self, cost: CellCost) -> float:
        """Of the whole cell but for reading data. NaN where its cost is not known, or a loop of its own trains."""
        if cost.error is not None:
            return math.nan
        if speed := self._speed(cost):
            return sum(task.training + task.evaluation for task in cost.tasks) / speed
        measured = self._measured(cost) if cost.steps else []
        if not measured:  # a loop of the method's own has no step that could be measured
            return math.nan if any(task.phases for task in cost.tasks) else 0.0
        training, counted, first = 0.0, 0, True
        for task in cost.tasks:
            if not task.phases:
                continue
            training += sum(phase.steps * t for phase, t in zip(task.phases, _steps_of(task.phases, measured, first)))
            counted += sum(phase.flops for phase in task.phases)
            first = False
        others = sum(task.end_task + task.evaluation for task in cost.tasks)
        return training * (1 + others / counted) if counted else training

    def _speed(self, cost: CellCost) -> float | None:
        """FLOPs per second of the cell's network, where they decide how long its steps take."""
        phases = [phase for task in cost.tasks for phase in task.phases]
        if self.device.type != "cpu" or max((phase.step_flops for phase in phases), default=0) < LARGE_FLOPS:
            return None
        cell = cost.cell
        network = [cell.resolved.document["model"], cell.training.precision, cell.training.channels_last]
        key = json.dumps([cell.scenario.data, *network], sort_keys=True)
        if key not in self._flops_per_second:
            with _as_a_worker(self.device):
                measured = self._measure(cell, cost, tasks=1, phases=1)
            seconds = sum(sum(m.seconds) for m in measured)
            self._flops_per_second[key] = sum(sum(m.flops) for m in measured) / seconds if seconds else 0.0
        return self._flops_per_second[key] or None

    def _measured(self, cost: CellCost) -> list[Measured]:
        cell = cost.cell
        parts = cell.identity_settings() | {"scenario": [cell.scenario.data, cell.scenario.setting]}
        key = json.dumps(parts | {"seed": None}, sort_keys=True)
        if key not in self._known:
            with _as_a_worker(self.device):
                self._known[key] = self._measure(cell, cost, tasks=2)
        return self._known[key]

    def _measure(self, cell: CellSettings, cost: CellCost, tasks: int, phases: int | None = None) -> list[Measured]:
        """Of so many tasks that have steps, so many phases; what comes after them is not done."""
        largest = max((p.batch_size for t in cost.tasks for p in t.phases), default=1)
        classes = min((task.outputs.stop - task.outputs.start for task in self._tasks(cell, 1)), default=1)
        scenario = empty_scenario(cell.scenario, cell.seed, self.data_root, torch.device("cpu"), -(-largest // classes))
        training = cell.training.model_copy(update={"compile": False})
        method = method_class(cell.method.name).from_settings(cell.method.settings)
        scenario, model, _ = prepared(cell, scenario, method, self.device, empty=True)
        method.start(scenario, model, training, cell.seed, self.device)
        found: list[Measured] = []
        tasks = min(
            tasks, sum(task.steps > 0 for task in cost.tasks)
        )  # the end of a task may take longer than its steps
        for task, known in zip(scenario.tasks, cost.tasks, strict=True):
            view = task_view(scenario, task, method.sees_past_data)
            method.enter(view)
            seconds, flops = [], []
            for index, phase in enumerate(islice(method.phases(view), phases)):
                counted = known.phases[min(index, len(known.phases) - 1)]
                seconds.append(self._step(method, phase, counted, task.id, index))
                flops.append(counted.step_flops)
            if seconds:
                found.append(Measured(seconds, flops))
            if len(found) == tasks:
                break
            method.end_task(view)
        return found

    def _tasks(self, cell: CellSettings, most: int):
        return empty_scenario(cell.scenario, cell.seed, self.data_root, torch.device("cpu"), most).tasks

    def _step(self, method: Method, phase: Phase, counted: PhaseCost, task: int, index: int) -> float:
        """Seconds for a step of the phase with a whole batch."""
        size = part = counted.batch_size
        if self.device.type == "cpu" and counted.step_flops > ENOUGH_FLOPS:
            part = min(size, max(2, round(size * ENOUGH_FLOPS / counted.step_flops)))  # two can be normalised
        optimizer = phase.recipe.optimizer.build(phase.parameters)
        data = phase.data.to(self.device)
        rows = (torch.arange(part) % len(data)).to(self.device)
        times: list[float] = []
        method.network.train()
        if phase.augment:
            method.augmenter.start(task, index)
        try:
            while len(times) < 2 or (len(times) <= self.steps and sum(times) < ENOUGH_SECONDS):
                start = own_time(self.device)
                batch = self._batch(method, data, rows)
                method.observe(batch, optimizer, phase)
                times.append(own_time(self.device) - start)
        finally:
            method.augmenter.stop()
        times = times[1:]  # the first one warms up
        return sorted(times)[len(times) // 2] * size / part

    @staticmethod
    def _batch(method: Method, data, rows) -> Batch:
        examples = data[rows]
        return method.batch(examples, 0, method.augmenter.new(examples.images))


def _steps_of(phases: Sequence[PhaseCost], measured: list[Measured], first: bool) -> list[float]:
    """Seconds for a step of each of a task's `phases`."""
    like = measured[0] if first else measured[-1]
    seconds = []
    for index, phase in enumerate(phases):
        i = min(index, len(like.seconds) - 1)
        seconds.append(like.seconds[i] * (phase.step_flops / like.flops[i] if like.flops[i] else 1.0))
    return seconds


@contextmanager
def _as_a_worker(device: torch.device):
    """One thread, and the products of a run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with fast_products(device.type):
            yield
    finally:
        torch.set_num_threads(before)
