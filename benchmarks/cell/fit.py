"""The only minibatch loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.cell.callbacks import Callbacks, Epoch
from methods import Batch, Method, Phase
from metrics.flops import FlopMeter
from scenarios import Examples, ImageFiles
from scenarios.image_files import decode_ahead
from scenarios.seeding import generator_for, seed_for

AHEAD = 4096
"""Images augmented at once on a GPU: RandAugment on one batch would cost launches, not arithmetic. On a processor
it is a batch at a time, which stays in its cache."""


NORMALISED_AT_ONCE = 256 * 2**20
"""Bytes of float images up to which a phase's are normalised once, and not again in each epoch."""


class Diverged(RuntimeError):
    """The loss, the weights or the predictions are no longer finite."""


@dataclass
class Trainer:
    """What outlives a phase: the FLOPs counted, the steps taken and, where a recipe keeps them, the optimizers."""

    meter: FlopMeter = field(default_factory=FlopMeter)
    steps: int = 0
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)


def fit(
    method: Method,
    phase: Phase,
    trainer: Trainer | None = None,
    index: int = 0,
    callbacks: Callbacks | None = None,
) -> None:
    """Trains `method` through `phase`, the `index`-th of its task. `callbacks` hear of its steps and epochs.

    The order of the examples depends on the cell's seed, the task and `index` alone, so methods whose phases hold
    the same data see the same batches. Raises Diverged when the loss, or at the end a weight, is no longer finite.
    """
    trainer = trainer or Trainer()
    optimizer = _optimizer(phase, trainer)
    total = phase.total_steps
    schedule = None if phase.constant_lr else LambdaLR(optimizer, phase.lr_factor)
    data = phase.data.to(method.device)
    order = generator_for(method.seed, "batches", method.task.id, index)
    decoded = _decoded_ahead(method, phase, data, index, total)
    normalised = _normalised(method, phase, data)
    method.network.train()
    loss_sum, taken, epoch = torch.zeros((), device=method.device), 0, 0
    if phase.augment:
        method.augmenter.start(method.task.id, index)
    try:
        while taken < total:
            before, loss_before, start = taken, loss_sum.clone(), time.perf_counter()
            for batch in _epoch(method, phase, data, order, epoch, total - taken, decoded, normalised):
                key = (method.task.id, index, method.step_shape(batch))
                step = partial(method.observe, batch, optimizer, phase)
                loss_sum += trainer.meter.measure(key, step, part=phase.name)
                if schedule is not None:
                    schedule.step()
                taken += 1
                if callbacks is not None:
                    callbacks.step(phase, epoch + 1, taken, loss_sum)
            epoch += 1
            # one look per epoch: asking an accelerator after every step would make it wait
            if not torch.isfinite(loss_sum):
                where = f"task {method.task.id}, phase {phase.name!r}, epoch {epoch}"
                raise Diverged(f"loss is {float(loss_sum)} in {where}")
            if callbacks is not None:
                mean = float(loss_sum - loss_before) / (taken - before)
                lr, seconds = float(optimizer.param_groups[0]["lr"]), time.perf_counter() - start
                callbacks.epoch(Epoch(method.task.id + 1, phase.name, epoch, taken, mean, lr, seconds))
    except Exception as error:
        if method.recipe.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise RuntimeError(f"training.compile: torch.compile failed on the backbone ({_first(error)})") from error
        raise
    finally:
        method.augmenter.stop()
    broken = _not_finite(method.network)
    if broken:
        raise Diverged(f"{broken} is not finite after task {method.task.id}, phase {phase.name!r}")
    trainer.steps += taken
    extra = method.extra_flops()
    if extra:
        trainer.meter.add("solver", extra)


def _not_finite(network: nn.Module) -> str:
    """The first of the network's parameters and running statistics that holds NaN or infinity; empty where none does.

    No loss tells of what the very last step did.
    """
    tensors = {n: t for n, t in (*network.named_parameters(), *network.named_buffers()) if t.is_floating_point()}
    if not tensors:
        return ""
    finite = torch.stack([t.detach().isfinite().all() for t in tensors.values()])
    return "" if finite.all() else next(n for n, ok in zip(tensors, finite.tolist(), strict=True) if not ok)


def _optimizer(phase: Phase, trainer: Trainer) -> torch.optim.Optimizer:
    """A fresh optimizer, or the one of the last task's phase of this name where its state is to be kept."""
    if phase.recipe.optimizer_state == "kept" and phase.name in trainer.optimizers:
        optimizer = trainer.optimizers[phase.name]
        for group in optimizer.param_groups:  # where the schedule of the task before has left it
            group["lr"] = group["initial_lr"] = phase.recipe.optimizer.lr
        held = [id(p) for group in optimizer.param_groups for p in group["params"]]
        if held != [id(p) for p in phase.parameters]:
            raise ValueError(
                "optimizer_state 'kept' needs the same parameters in every task, and this network has replaced some; "
                "use active_outputs: all (the output layer is whole from the start), or optimizer_state: fresh"
            )
        return optimizer
    optimizer = phase.recipe.optimizer.build(phase.parameters)
    if phase.recipe.optimizer_state == "kept":
        trainer.optimizers[phase.name] = optimizer
    return optimizer


def _epoch(
    method: Method,
    phase: Phase,
    data: Examples,
    order: torch.Generator,
    epoch: int,
    most: int,
    decoded: Iterator[Tensor] | None,
    normalised: Tensor | None,
) -> Iterator[Batch]:
    """One pass over the data in the phase's order, a batch at a time, at most `most` batches."""
    batches = _rows(phase, data, order, method.device)[:most]
    if normalised is not None:
        for rows in batches:
            yield method.batch_of(data, normalised, rows, epoch)
        return
    if decoded is not None or not method.augmenter.changes():
        for rows in batches:
            yield method.batch(data[rows], epoch, None if decoded is None else next(decoded), replayed=False)
        return
    ahead = max(1, AHEAD // phase.recipe.batch_size) if method.device.type == "cuda" else 1
    for first in range(0, len(batches), ahead):
        chunk = batches[first : first + ahead]
        images = method.augmenter.new(data.images.index_select(0, torch.cat(chunk)))
        for rows, own in zip(chunk, images.split(phase.recipe.batch_size), strict=True):
            yield method.batch(data[rows], epoch, own, replayed=False)


def _normalised(method: Method, phase: Phase, data: Examples) -> Tensor | None:
    """All images of `data`, normalised, float32 [N, C, H, W]; None where they change from step to step, are made ready in
    another way, or take too much memory."""
    fixed = isinstance(data.images, Tensor) and not (phase.augment and method.augmenter.has_work())
    if not fixed or method.memory_format == "channels last" or type(method).batch is not Method.batch:
        return None
    return method.normalise(data.images) if 4 * data.images.numel() <= NORMALISED_AT_ONCE else None


def _rows(phase: Phase, data: Examples, order: torch.Generator, device: torch.device) -> tuple[Tensor, ...]:
    """Rows of one pass over the data, a batch each; they go to the device together."""
    rows = phase.sampling.rows(len(data), order).to(device)
    return rows.split(phase.recipe.batch_size)[: phase.steps_per_epoch]


def _decoded_ahead(method: Method, phase: Phase, data: Examples, index: int, total: int) -> Iterator[Tensor] | None:
    """The pixels of the phase's `total` batches, decoded by workers ahead of the steps; None for data in memory."""
    if not isinstance(data.images, ImageFiles):
        return None
    # the same generator once more: it is read ahead of the one that gives the steps their rows
    order = generator_for(method.seed, "batches", method.task.id, index)
    several = phase.sampling.views > 1  # the views of an image may stand in two batches, and are to differ
    batches = (
        (seed_for(method.seed, "augment", method.task.id, index, epoch, *([step] if several else [])), rows)
        for epoch in count()
        for step, rows in enumerate(_rows(phase, data, order, torch.device("cpu")))
    )
    return decode_ahead(data.images, islice(batches, total))


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
