"""One epoch's order of rows dealt out over the processes of a distributed run."""

from __future__ import annotations

import torch
from torch import Tensor


def shard(order: Tensor, rank: int, world_size: int, drop_last: bool = False) -> Tensor:
    """The rows of process `rank` of `world_size`: every world_size-th of `order` (int64 [n]), from its own place.

    All ranks get equally many, as torch's DistributedSampler arranges it: `order` is first padded to a multiple of
    world_size with rows from its start (again from the start where it is shorter than the padding), or, with
    drop_last, cut to one. Ranks must pass the same order, drawn from the same seed. Raises ValueError for a rank
    that is none of 0..world_size-1, or where there is nothing to deal out.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of {world_size} processes: ranks are 0 to {world_size - 1}")
    n = len(order)
    each = n // world_size if drop_last else -(-n // world_size)
    if each == 0:
        raise ValueError(f"{n} rows leave some of {world_size} processes without any")
    whole = torch.arange(each * world_size, device=order.device) % n
    return order[whole[rank::world_size]]
