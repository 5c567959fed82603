"""Rows dealt out over processes as torch's DistributedSampler does."""

import pytest
import torch
from torch.utils.data import DistributedSampler

from scenarios.sharding import shard


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [8, 9, 13, 24, 31])
def test_equals_torchs_sampler(n, world_size, drop_last):
    for rank in range(world_size):
        sampler = DistributedSampler(range(n), world_size, rank, shuffle=True, seed=5, drop_last=drop_last)
        sampler.set_epoch(2)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(5 + 2))
        assert shard(order, rank, world_size, drop_last).tolist() == list(sampler)


def test_fewer_rows_than_ranks_are_repeated():
    order = torch.tensor([7, 3])
    for rank in range(5):
        sampler = DistributedSampler(order.tolist(), 5, rank, shuffle=False)
        assert shard(order, rank, 5).tolist() == [order[i] for i in sampler]


def test_ranks_together_see_every_row_equally_often():
    order = torch.randperm(30)
    parts = [shard(order, rank, 3) for rank in range(3)]
    assert torch.cat(parts).sort().values.tolist() == list(range(30))


def test_what_cannot_be_dealt_out_is_said():
    with pytest.raises(ValueError, match="ranks are 0 to 1"):
        shard(torch.arange(4), 2, 2)
    with pytest.raises(ValueError, match="2 rows leave some of 3"):
        shard(torch.arange(2), 0, 3, drop_last=True)
