"""The only minibatch loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from methods import Method, Phase
from metrics.flops import FlopMeter
from scenarios import Examples, ImageFiles
from scenarios.image_files import decode_ahead
from scenarios.seeding import generator_for, seed_for


class Diverged(RuntimeError):
    """The training loss is no longer finite."""


@dataclass
class Trainer:
    """What outlives a phase: the FLOPs counted, the steps taken and, where a recipe keeps them, the optimizers."""

    meter: FlopMeter = field(default_factory=FlopMeter)
    steps: int = 0
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)


def fit(method: Method, phase: Phase, trainer: Trainer | None = None, index: int = 0) -> None:
    """Trains `method` through `phase`, the `index`-th of its task.

    The order of the examples depends on the cell's seed, the task and `index` alone, so methods whose phases hold
    the same data see the same batches. Raises Diverged when the loss is no longer finite.
    """
    trainer = trainer or Trainer()
    optimizer = _optimizer(phase, trainer)
    total = phase.total_steps
    schedule = None
    if phase.schedule == "cosine":
        schedule = LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(step, total) / total)))
    data = phase.data.to(method.device)
    order = generator_for(method.seed, "batches", method.task.id, index)
    decoded = _decoded_ahead(method, phase, data, index, total)
    method.network.train()
    loss_sum, taken, epoch = torch.zeros((), device=method.device), 0, 0
    while taken < total:
        for rows in _epoch(data, phase, order, method.device):
            if taken == total:
                break
            batch = method.batch(data[rows], epoch, None if decoded is None else next(decoded))
            key = (method.task.id, index, method.step_shape(batch))
            step = partial(method.observe, batch, optimizer, phase)
            loss_sum += trainer.meter.measure(key, step, part=phase.name)
            if schedule is not None:
                schedule.step()
            taken += 1
        epoch += 1
        # one look per epoch: asking an accelerator after every step would make it wait
        if not torch.isfinite(loss_sum):
            raise Diverged(f"loss is {float(loss_sum)} in task {method.task.id}, phase {phase.name!r}, epoch {epoch}")
    trainer.steps += taken
    extra = method.extra_flops()
    if extra:
        trainer.meter.add("solver", extra)


def _optimizer(phase: Phase, trainer: Trainer) -> torch.optim.Optimizer:
    """A fresh optimizer, or the one of the last task's phase of this name where its state is to be kept."""
    if phase.optimizer_state == "kept" and phase.name in trainer.optimizers:
        optimizer = trainer.optimizers[phase.name]
        held = [id(p) for group in optimizer.param_groups for p in group["params"]]
        if held != [id(p) for p in phase.parameters]:
            raise ValueError(
                "optimizer_state 'kept' needs the same parameters in every task, and this network has replaced some; "
                "use active_outputs: all (the output layer is whole from the start), or optimizer_state: fresh"
            )
        return optimizer
    optimizer = phase.optimizer.build(phase.parameters)
    trainer.optimizers[phase.name] = optimizer
    return optimizer


def _decoded_ahead(method: Method, phase: Phase, data: Examples, index: int, total: int) -> Iterator[Tensor] | None:
    """The pixels of the phase's `total` batches, decoded by workers ahead of the steps; None for data in memory."""
    if not isinstance(data.images, ImageFiles):
        return None
    # the same generator once more: it is read ahead of the one that gives the steps their rows
    order = generator_for(method.seed, "batches", method.task.id, index)
    batches = (
        (seed_for(method.seed, "augment", method.task.id, index, epoch), rows)
        for epoch in count()
        for rows in _epoch(data, phase, order, torch.device("cpu"))
    )
    return decode_ahead(data.images, islice(batches, total))


def _epoch(data: Examples, phase: Phase, order: torch.Generator, device: torch.device):
    """Rows of one pass over the data in random order, a batch at a time."""
    permutation = torch.randperm(len(data), generator=order).to(device)
    batches = permutation.split(phase.batch_size)
    return batches[: phase.steps_per_epoch]
