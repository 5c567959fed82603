"""Several processes (ranks) that train one network together, as `torchrun` starts them.

All ranks do the same: the same batches, buffers and losses, on the same weights. Only the costly part of a step is
divided: inside `divided_batches`, a network computes on each rank an equal share of a batch's rows, and each gets the
results of all. So a loss, a replay buffer or a projection sees the whole batch, whatever the method, and the gradient
is that of one process. With one process nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._pytree import tree_map

Result = TypeVar("Result")
_dividing = False


def world() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which this is, from 0."""
    return dist.get_rank() if world() > 1 else 0


@contextmanager
def divided_batches() -> Iterator[None]:
    """Inside, `over_ranks` divides; gradients of it are true only after `average_gradients`."""
    global _dividing
    before, _dividing = _dividing, True
    try:
        yield
    finally:
        _dividing = before


class _AllRows(torch.autograd.Function):
    """Own rows -> the rows of all ranks. A rank's gradient reaches its own rows, `world` times, for the mean to come."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        own = own.contiguous()
        parts = [torch.empty_like(own) for _ in range(world())]
        dist.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].chunk(world())[rank()] * world()


def over_ranks(fn: Callable[[Tensor], Result], x: Tensor) -> Result:
    """fn(x), for an fn that treats each row of x [N, ...] by itself and gives tensors [N, ...].

    A batch that the ranks cannot share evenly is computed whole on each.
    """
    if not _dividing or world() == 1 or len(x) % world():
        return fn(x)
    return tree_map(_AllRows.apply, fn(x.chunk(world())[rank()]))


def divide(module: nn.Module) -> nn.Module:
    """Makes `module(x)` go through `over_ranks`, where there are ranks. Returns it.

    Batch normalisation needs `synchronised`, which only accelerators have: elsewhere such a module is not divided.
    """
    if world() > 1:
        module.register_forward_pre_hook(_own_rows)
        module.register_forward_hook(_all_rows)
    return module


def _own_rows(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    x = inputs[0]
    normalised = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())
    module._divided = _dividing and not len(x) % world() and (x.is_cuda or not normalised)  # type: ignore[assignment]
    return (x.chunk(world())[rank()], *inputs[1:]) if module._divided else inputs


def _all_rows(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    return tree_map(_AllRows.apply, output) if module._divided else output


def synchronised(network: nn.Module) -> nn.Module:
    """The network with batch normalisation over the batch of all ranks; parameters stay the same objects."""
    if world() == 1 or not any(p.is_cuda for p in network.parameters()):
        return network
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Each `.grad` becomes the mean over ranks, in one message for each number format."""
    if world() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    for dtype in {g.dtype for g in gradients}:
        same = [g for g in gradients if g.dtype == dtype]
        flat = torch.cat([g.flatten() for g in same])
        dist.all_reduce(flat)
        flat /= world()
        for gradient, part in zip(same, flat.split([g.numel() for g in same]), strict=True):
            gradient.copy_(part.view_as(gradient))


def agreed(choice: Tensor) -> Tensor:
    """Rank 0's `choice`, of one shape on all: where rounding might let ranks choose differently."""
    if world() == 1:
        return choice
    place = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else choice.device
    sent = choice.to(place)
    dist.broadcast(sent, 0)
    return sent.to(choice.device)
