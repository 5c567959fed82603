"""What a cell costs, without training it: parameters, FLOPs and stored bytes after each task.

The method is taken through its tasks as a run takes it, with the true number of examples of every class and the true
batch sizes, but without values (benchmarks/cost/valueless.py): no data is read and no product computed. Of each phase are
run, and counted, the steps whose `step_shape` is new; then the rest of the first epoch as one step, so that memories
fill as they will; then one step of each size, which stands for all the others. What depends on values is not in it: the
sizes of what a method selects by its answers, and solvers (`extra_flops`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from benchmarks.cell.features import Extractor, prepared
from benchmarks.cell.run import inference_flops, task_view, with_backbone
from benchmarks.cost.empty import empty_scenario
from benchmarks.cost.herding import herding_at_once
from benchmarks.cost.repeated import frozen_parts_at_once
from benchmarks.cost.valueless import META, Counted, valueless
from benchmarks.request.suite import CellSettings
from methods import Method, Phase, TaskView, method_class
from metrics.flops import Flops
from scenarios import Examples, Scenario, Task

MOST_TRANSIENT = 8
"""Steps of a phase that are looked at one by one until their shape repeats."""
A_FEW = 20
"""Images of a class where their number does not matter."""


@dataclass(frozen=True)
class Size:
    """A network. inference: FLOPs for an image."""

    parameters: dict[str, int]
    inference: Flops


@dataclass(frozen=True)
class PhaseCost:
    """name; steps: of all its epochs; flops: of all of them; step_flops: of one whole batch when memories are full;
    batch_size: of that batch."""

    name: str
    steps: int
    flops: int
    step_flops: int
    batch_size: int


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
    tasks: list[TaskCost] = []
    try:
        with valueless() as counted, herding_at_once(counted), frozen_parts_at_once(counted):
            for task in _walk(cell, scenario, counted):
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


def _walk(cell: CellSettings, scenario: Scenario, counted: Counted) -> Iterator[TaskCost]:
    method, scenario, extractor = _started(cell, scenario)
    for task in scenario.tasks:
        view = task_view(scenario, task, method.sees_past_data, META)
        counted.stage += 1
        method.enter(view)
        method.network.train()
        phases = list(_phase_costs(method, view, counted))
        end_task = counted.of(lambda view=view: method.end_task(view))  # type: ignore[misc]
        counted.stage += 1
        inference = inference_flops(method, scenario, task, extractor)
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


def _phase_costs(method: Method, view: TaskView, counted: Counted) -> Iterator[PhaseCost]:
    """Of the method's phases, and last of what it does between them: choosing exemplars, or a loop of its own."""
    phases, between = iter(method.phases(view)), 0
    while True:
        before = counted.total
        counted.stage += 1
        phase = next(phases, None)
        between += counted.total - before
        counted.stage += 1
        if phase is None:
            break
        yield phase_cost(method, phase, counted)
    if between:
        yield PhaseCost("between phases", 0, between, 0, 1)


def phase_cost(method: Method, phase: Phase, counted: Counted) -> PhaseCost:
    """The cost of `phase`, whose parameters and memories are then as after its first epoch."""
    optimizer, n, total = phase.recipe.optimizer.build(phase.parameters), len(phase.data), phase.total_steps
    per_pass = phase.sampling.length(n)
    size, per_epoch = min(phase.recipe.batch_size, per_pass), phase.steps_per_epoch
    short = 0 if phase.recipe.drop_last else per_pass % size
    n_short = total // per_epoch if short else 0
    n_whole = total - n_short
    order = phase.sampling.rows(n, torch.Generator().manual_seed(0))[: min(total, per_epoch) * size]
    seen: dict[tuple, int] = {}

    def step(rows: torch.Tensor, epoch: int = 0) -> int:
        """FLOPs of a step; one of a shape seen before is not run again."""
        batch = _batch(method, phase.data, rows, epoch)
        key = method.step_shape(batch)
        if key not in seen:
            seen[key] = counted.of(lambda: method.observe(batch, optimizer, phase))
        return seen[key]

    flops, taken = 0, 0
    while len(seen) == taken < min(n_whole, per_epoch, MOST_TRANSIENT):
        flops += step(order[taken * size : (taken + 1) * size])
        taken += 1
    rest = order[len(seen) * size :]  # all that no step has been run on
    if len(rest):
        method.observe(_batch(method, phase.data, rest, 0), optimizer, phase)
    whole = step(order[:size], 1) if n_whole > taken else next(iter(seen.values()), 0)
    flops += whole * (n_whole - taken)
    if n_short:
        flops += n_short * step(order[:short], 1)
    return PhaseCost(phase.name, total, flops, whole, size)


def _batch(method: Method, data: Examples, rows: torch.Tensor, epoch: int):
    """As the loop makes it, but for augmentation, which costs no product."""
    examples = data[rows]
    return method.batch(examples, epoch, examples.images)


def _tested(method: Method, scenario: Scenario, task: int) -> int:
    """Test images that are looked at after task `task`."""
    if not scenario.is_evaluated(task + 1):
        return 0
    return sum(
        len(other.test)
        for other in scenario.tasks
        if scenario.layout.can_evaluate(other.id, method.seen) and method.answers(other.id)
    )
