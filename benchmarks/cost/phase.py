"""What a phase of training costs.

Of its steps are run, and counted, those whose `step_shape` is new; then the rest of the first epoch as one step, so that
memories fill as they will; then one step of each size, which stands for all the others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch

from benchmarks.cost.trend import Numbers, at, line_through
from benchmarks.cost.valueless import Counted
from methods import Method, Phase
from scenarios import Examples

MOST_TRANSIENT = 8
"""Steps of a phase that are looked at one by one until their shape repeats."""


@dataclass(frozen=True)
class PhaseCost:
    """name; steps: of all its epochs; flops: of all of them; step_flops: of one whole batch when memories are full;
    batch_size: of that batch."""

    name: str
    steps: int
    flops: int
    step_flops: int
    batch_size: int


class _Sizes:
    """Of the steps of `phase`: n_whole have `size` images, n_short, at the end of an epoch, `short`."""

    def __init__(self, phase: Phase):
        per_pass = phase.sampling.length(len(phase.data))
        self.size = min(phase.recipe.batch_size, per_pass)
        self.short = 0 if phase.recipe.drop_last else per_pass % self.size
        self.n_short = phase.total_steps // phase.steps_per_epoch if self.short else 0
        self.n_whole = phase.total_steps - self.n_short


def told_cost(phase: Phase, line: Numbers) -> PhaseCost:
    """The cost of `phase`, of whose steps none is run."""
    sizes = _Sizes(phase)
    whole = at(line, sizes.size)
    flops = whole * sizes.n_whole + at(line, sizes.short) * sizes.n_short
    return PhaseCost(phase.name, phase.total_steps, flops, whole, sizes.size)


def phase_cost(method: Method, phase: Phase, counted: Counted) -> tuple[PhaseCost, Numbers | None]:
    """The cost of `phase`, whose parameters and memories are then as after its first epoch.

    And the line of its FLOPs by the number of images (benchmarks/cost/trend.py), where every step lies on it and none
    changes what the method stores.
    """
    optimizer, sizes = phase.recipe.optimizer.build(phase.parameters), _Sizes(phase)
    size, n_whole = sizes.size, sizes.n_whole
    order = phase.sampling.rows(len(phase.data), torch.Generator().manual_seed(0))
    order = order[: min(phase.total_steps, phase.steps_per_epoch) * size]
    seen: dict[tuple, int] = {}
    points: dict[int, set[int]] = defaultdict(set)
    stored = method.footprint()

    def run(rows: torch.Tensor, epoch: int = 0) -> int:
        """FLOPs of a step; one of a shape seen before is not run again."""
        batch = _batch(method, phase.data, rows, epoch)
        key = method.step_shape(batch)
        if key not in seen:
            seen[key] = counted.of(lambda: method.observe(batch, optimizer, phase))
            points[len(rows)].add(seen[key])
        return seen[key]

    flops, taken = 0, 0
    while len(seen) == taken < min(n_whole, len(order) // size, MOST_TRANSIENT):
        flops += run(order[taken * size : (taken + 1) * size])
        taken += 1
    rest = order[len(seen) * size :]  # all that no step has been run on
    if len(rest):
        of_rest = counted.of(lambda: method.observe(_batch(method, phase.data, rest, 0), optimizer, phase))
        points[len(rest)].add(of_rest)
    whole = run(order[:size], 1) if n_whole > taken else next(iter(seen.values()), 0)
    flops += whole * (n_whole - taken)
    if sizes.n_short:
        flops += sizes.n_short * run(order[: sizes.short], 1)
    cost = PhaseCost(phase.name, phase.total_steps, flops, whole, size)
    return cost, line_through(points) if method.footprint() == stored else None


def _batch(method: Method, data: Examples, rows: torch.Tensor, epoch: int):
    """As the loop makes it, but for augmentation, which costs no product."""
    examples = data[rows]
    return method.batch(examples, epoch, examples.images)
