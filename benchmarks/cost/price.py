"""What a grid will take before it is run: the cost of each of its cells, and whether processors are up to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
import torch

from benchmarks.cost.count import CellCost, cost_of, growth_of
from benchmarks.cost.empty import shape_in
from benchmarks.cost.many import costs_of
from benchmarks.cost.seconds import StepTimer
from benchmarks.cost.sizes import SIZES, size_of_stream
from benchmarks.records.matching import records_of
from benchmarks.records.store import Scan
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid
from benchmarks.request.suite import CellSettings
from metrics.flops import count_flops
from models import ModelSettings, build_network
from scenarios.validation import Validation

ASK_ABOVE_HOURS = 12.0
"""A run on processors that is estimated to take longer wants --yes."""
WORTH_A_LOOK = 1.0
"""Hours by the rough count, above which the estimate is made at all."""
FAST_CORE = 1e11
"""FLOP/s of one core in the rough count: more than most have, so that it is rather too short."""

Say = Callable[[str], object]


@dataclass(frozen=True)
class Priced:
    """A scenario and method: what a cell costs, the seconds of one, and how many of them (seeds) there are."""

    cost: CellCost
    seconds: float
    cells: int


def price(cells: Sequence[CellSettings], timer: StepTimer, say: Say) -> list[Priced]:
    """Counts and measures one cell of each scenario and method of `cells`; `say` hears which."""
    pairs: dict[tuple[str, str], list[CellSettings]] = {}
    for cell in cells:
        pairs.setdefault((cell.scenario_name, cell.method_name), []).append(cell)
    number = count(1)
    costs = costs_of(
        [own[0] for own in pairs.values()],
        timer.data_root,
        lambda cell: say(f"[{next(number)}/{len(pairs)}] {cell.scenario_name} {cell.method_name}"),
    )
    return [Priced(cost, timer.seconds(cost), len(own)) for cost, own in zip(costs, pairs.values(), strict=True)]


def count_growth(grid: Grid, scan: Scan, data_root: str | None, say: Say) -> dict[tuple[str, str], np.ndarray]:
    """FLOPs of one prediction after each task, [T], of every scenario and method of `grid` that has no good record.

    Only class-incremental scenarios: elsewhere tasks bring no classes. What cannot be counted is left out, and said.
    """
    known = {(r.scenario, r.method) for r in records_of(grid, scan) if r.status == "done"}
    found: dict[tuple[str, str], np.ndarray] = {}
    for cell in grid.cells:
        pair = cell.scenario_name, cell.method_name
        if pair in known or pair in found or cell.scenario.setting != "class":
            continue
        say(f"counting {' '.join(pair)}")
        try:
            found[pair] = np.array([size.inference.total for size in growth_of(cell, data_root)], dtype=float)
        except RuntimeError as error:
            say(f"not counted: {error}")
    return found


def total_hours(priced: Sequence[Priced], workers: int) -> float:
    """Wall time with `workers` at work: never less than the longest cell. Leaves out what is not known."""
    known = [p for p in priced if not math.isnan(p.seconds)]
    every = sum(p.seconds * p.cells for p in known)
    return max([every / workers, *(p.seconds for p in known)], default=0.0) / 3600


def is_hopeless(cells: Sequence[CellSettings], devices: Sequence[str], data_root: str | None) -> bool:
    """Whether `check_affordable` knows without much counting that these processors are not up to `cells`."""
    return _least_hours(cells, devices, data_root) > ASK_ABOVE_HOURS


def is_too_long(cells: Sequence[CellSettings], hours: float, devices: Sequence[str], data_root: str | None) -> bool:
    """Whether `check_affordable` refuses `cells`, which are estimated to take `hours`."""
    rough = _least_hours(cells, devices, data_root)
    return rough > ASK_ABOVE_HOURS or (rough >= WORTH_A_LOOK and hours > ASK_ABOVE_HOURS)


def _least_hours(cells: Sequence[CellSettings], devices: Sequence[str], data_root: str | None) -> float:
    """By the rough count; 0 where there is a GPU, which is not doubted."""
    if not cells or any("cuda" in device for device in devices):
        return 0.0
    return rough_hours(cells, min(len(devices), len(cells)), data_root)


def check_affordable(
    cells: Sequence[CellSettings], devices: Sequence[str], data_root: str | None, say: Say, reduced: str = ""
) -> None:
    """Raises SettingsError where `cells` would keep these processors busy for more than ASK_ABOVE_HOURS.

    reduced: a suite of the like that is made for processors, to be named then.
    """
    workers = min(len(devices), len(cells))
    rough = _least_hours(cells, devices, data_root)
    if rough < WORTH_A_LOOK:
        return
    say("a long run: estimating")
    if rough > ASK_ABOVE_HOURS:  # one cell says how far the rough count is off
        one = cells[:1]
        measured = total_hours(price(one, StepTimer("cpu", data_root=data_root), say), 1)
        hours = rough * max(1.0, measured / rough_hours(one, 1, data_root))
    else:
        hours = total_hours(price(cells, StepTimer("cpu", data_root=data_root), say), workers)
    if hours > ASK_ABOVE_HOURS:
        raise SettingsError([too_long(hours, len(cells), len(devices), torch.cuda.device_count(), reduced)])


def too_long(hours: float, cells: int, workers: int, gpus: int, reduced: str = "") -> str:
    """What to tell who started a run on processors that needs a GPU."""
    found = (
        f"this machine has {gpus} that --gpus (make: GPUS=0,1) can name" if gpus else "there is none on this machine"
    )
    instead = f". Suite {reduced} is made for processors: `cost {reduced}` tells what it takes" if reduced else ""
    return (
        f"{cells} cells need about {hours:,.0f} hours on CPU with {workers} worker{'s' if workers > 1 else ''}; they are "
        f"meant for a GPU, and {found}. To run them on CPU all the same: --yes (make: YES=1){instead}"
    )


def rough_hours(cells: Sequence[CellSettings], workers: int, data_root: str | None = None) -> float:
    """A quick count of the plain network's training steps on fast cores: a lower bound to tell minutes from days.

    Data whose size is not known counts nothing.
    """
    features: dict[tuple, int] = {}
    flops = 0.0
    for cell in cells:
        stream = cell.scenario
        if stream.data not in SIZES and stream.data != "digits":
            continue
        facts = size_of_stream(stream, data_root)
        shape = shape_in(stream, facts)
        per_image = _forward_flops(cell.model, shape)
        recipe = cell.training
        if getattr(cell.model, "frozen", False) and not recipe.augmentation:
            features[cell.model, shape, stream.data] = per_image * (
                sum(facts.train) + sum(facts.test)
            )  # once, for all cells
            continue
        images = sum(facts.train) if stream.samples_per_task is None else stream.samples_per_task * stream.tasks
        if isinstance(stream, Validation) and stream.of_tasks is not None and stream.samples_per_task is None:
            images = images * stream.tasks // stream.of_tasks
        passes = images * (recipe.epochs or 0) + (recipe.steps or 0) * recipe.batch_size * stream.tasks
        flops += 3 * per_image * passes * recipe.schedule_scale
    flops += sum(features.values())
    return flops / (FAST_CORE * workers) / 3600


def quick_seconds(cells: Sequence[CellSettings], data_root: str | None = None) -> Callable[[CellSettings], float]:
    """How long each of `cells` takes against the others, without measuring: from its method's FLOPs where all of them
    take more than WORTH_A_LOOK, as counting takes a second a method; else from the rough count."""

    def rough(cell: CellSettings) -> float:
        return 3600 * rough_hours([cell], 1, data_root)

    def counted(cell: CellSettings) -> float:
        cost = cost_of(cell, data_root)
        return sum(t.training + t.evaluation for t in cost.tasks) / FAST_CORE if cost.error is None else rough(cell)

    return counted if rough_hours(cells, 1, data_root) > WORTH_A_LOOK else rough


@lru_cache
def _forward_flops(model: ModelSettings, shape: tuple[int, int, int]) -> int:
    try:
        network = build_network(model.without_weights(), shape, "shared", [10], 10).eval()
    except ValueError:
        return 0  # images that it cannot take: the rehearsal says so
    with torch.no_grad():
        return count_flops(network, torch.zeros(1, *shape)).total
