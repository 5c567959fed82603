"""What a cell costs, without training it: parameters, FLOPs and stored bytes after each task.

The method is taken through its tasks as a run takes it, with the true number of examples of every class and the true
batch sizes, but without values (benchmarks/cost/valueless.py): no data is read and no product computed. Of many tasks the
steps of the first and of the last are run, and what they cost in between follows from those (benchmarks/cost/trend.py).
What depends on values is not in it: the sizes of what a method selects by its answers, and solvers (`extra_flops`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.cell.features import Extractor, prepared
from benchmarks.cell.run import inference_flops, task_view, with_backbone
from benchmarks.cost.empty import empty_scenario
from benchmarks.cost.herding import herding_at_once
from benchmarks.cost.phase import PhaseCost, phase_cost, told_cost
from benchmarks.cost.repeated import frozen_parts_at_once
from benchmarks.cost.trend import Trends
from benchmarks.cost.valueless import META, Counted, valueless
from benchmarks.records.store import uncollected
from benchmarks.request.suite import CellSettings
from methods import Method, TaskView, method_class
from metrics.flops import Flops
from scenarios import Scenario, Task

A_FEW = 20
"""Images of a class where their number does not matter."""


@dataclass(frozen=True)
class Size:
    """A network. inference: FLOPs for an image."""

    parameters: dict[str, int]
    inference: Flops


@dataclass(frozen=True)
class TaskCost(Size):
    """After task `task`. end_task, evaluation: FLOPs for all of the task's; stored: bytes
    by part, as the method's `footprint` has them."""

    task: int
    phases: list[PhaseCost]
    end_task: int
    evaluation: int
    stored: dict[str, int]

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    @property
    def held_bytes(self) -> int:
        """What a checkpoint after the task holds: the network at four bytes a parameter, and what is stored."""
        return 4 * self.parameters["total"] + sum(self.stored.values())

    @property
    def training(self) -> int:
        """FLOPs, as a record counts them."""
        return sum(phase.flops for phase in self.phases) + self.end_task


@dataclass(frozen=True)
class CellCost:
    """A cell's tasks in order. error: why they end before the last, else None."""

    cell: CellSettings
    tasks: list[TaskCost]
    error: str | None = None

    @property
    def training(self) -> int:
        return sum(task.training for task in self.tasks)

    @property
    def steps(self) -> int:
        return sum(task.steps for task in self.tasks)


def cost_of(cell: CellSettings, data_root: str | None = None) -> CellCost:
    """Takes the cell's method through all tasks without values.

    Data sets of known size need not be there (scenarios/datasets.py, OUTLINES); of others raises DataNotFound.
    A method that cannot be run without values gives what was counted until then, and the error.
    """
    scenario = empty_scenario(cell.scenario, cell.seed, data_root, META)
    trends = Trends(telling=True)
    cost = _counted(cell, scenario, trends)
    if cost.error and trends.used:  # perhaps because of that
        cost = _counted(cell, scenario, Trends(telling=False))
    return cost


def _counted(cell: CellSettings, scenario: Scenario, trends: Trends) -> CellCost:
    """The cost of the cell; what `trends` can tell is not run."""
    tasks: list[TaskCost] = []
    try:
        with uncollected(), valueless() as counted, herding_at_once(counted, trends), frozen_parts_at_once(counted):
            for task in _walk(cell, scenario, counted, trends):
                tasks.append(task)
    except Exception as error:
        return CellCost(cell, tasks, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}")
    return CellCost(cell, tasks)


def growth_of(cell: CellSettings, data_root: str | None = None) -> list[Size]:
    """The network after each task, of a method that is taken through them without a step.

    A network's size follows from its tasks, not from how much it learns: a few images of each class will do. Raises
    DataNotFound as `cost_of` does, RuntimeError for a method that cannot be run without values.
    """
    scenario = empty_scenario(cell.scenario, cell.seed, data_root, META, most=A_FEW)
    try:
        with valueless():
            method, scenario, extractor = _started(cell, scenario)
            return [_grown(method, scenario, task, extractor) for task in scenario.tasks]
    except Exception as error:
        raise RuntimeError(f"{cell.label}: {type(error).__name__}: {error}") from error


def _started(cell: CellSettings, scenario: Scenario) -> tuple[Method, Scenario, Extractor | None]:
    # FLOPs do not depend on the format of numbers, what is compiled would not be seen, and pixels cost no product
    training = cell.training.model_copy(update={"precision": "fp32", "compile": False, "augmentation": ()})
    method = method_class(cell.method.name).from_settings(cell.method.settings)
    scenario, model, extractor = prepared(cell, scenario, method, META, empty=True)
    return method.start(scenario, model, training, cell.seed, META), scenario, extractor


def _grown(method: Method, scenario: Scenario, task: Task, extractor: Extractor | None) -> Size:
    view = task_view(scenario, task, method.sees_past_data, META)
    method.enter(view)
    for _ in method.phases(view):
        pass  # what comes between phases is done
    method.end_task(view)
    return Size(
        with_backbone(method.parameters_report(), extractor), inference_flops(method, scenario, task, extractor)
    )


def _walk(cell: CellSettings, scenario: Scenario, counted: Counted, trends: Trends) -> Iterator[TaskCost]:
    method, scenario, extractor = _started(cell, scenario)
    for task in scenario.tasks:
        view = task_view(scenario, task, method.sees_past_data, META)
        trends.begin(last=task is scenario.tasks[-1])
        counted.stage += 1
        begin = counted.of(lambda view=view: method.enter(view))  # type: ignore[misc]
        method.network.train()
        phases = list(_phase_costs(method, view, counted, trends))
        if begin:
            phases.insert(0, PhaseCost("begin_task", 0, begin, 0, 1))
        end_task = counted.of(lambda view=view: method.end_task(view))  # type: ignore[misc]
        counted.stage += 1
        told = trends.told("inference")
        inference = Flops(*map(int, told)) if told else inference_flops(method, scenario, task, extractor)
        trends.add("inference", (inference.total, inference.modules))
        if extractor:  # of each image once
            phases.insert(0, PhaseCost("features", 0, extractor.flops.total * len(task.train), 0, 1))
        yield TaskCost(
            with_backbone(method.parameters_report(), extractor),
            inference,
            task.id,
            phases,
            end_task,
            inference.total * _tested(method, scenario, task.id),
            method.footprint(),
        )


def _phase_costs(method: Method, view: TaskView, counted: Counted, trends: Trends) -> Iterator[PhaseCost]:
    """Of the method's phases, and last of what it does between them: choosing exemplars, or a loop of its own."""
    phases, between = iter(method.phases(view)), 0
    for k in itertools.count():
        before = counted.total
        counted.stage += 1
        phase = next(phases, None)
        between += counted.total - before
        counted.stage += 1
        if phase is None:
            break
        told = trends.told((k, phase.name))
        cost, line = (told_cost(phase, told), told) if told else phase_cost(method, phase, counted)
        trends.add((k, phase.name), line)
        yield cost
    if between:
        yield PhaseCost("between phases", 0, between, 0, 1)


def _tested(method: Method, scenario: Scenario, task: int) -> int:
    """Test images that are looked at after task `task`."""
    if not scenario.is_evaluated(task + 1):
        return 0
    return sum(
        len(other.test)
        for other in scenario.tasks
        if scenario.layout.can_evaluate(other.id, method.seen) and method.answers(other.id)
    )
