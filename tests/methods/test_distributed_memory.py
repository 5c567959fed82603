"""What a budget means on several ranks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.parts.distributed_memory import DistributedMemory
from methods.parts.exemplars import ExemplarMemory
from scenarios import Examples

STREAMS = st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=4), min_size=1, max_size=5)
"""Tasks as the number of examples of each of their classes."""


def task_of(sizes: list[int], task: int, first_label: int) -> Examples:
    """Every image differs from all others."""
    labels = torch.repeat_interleave(torch.arange(len(sizes)) + first_label, torch.tensor(sizes))
    number = torch.arange(len(labels)) + 10_000 * task
    pixels = torch.stack([number % 256, number // 256], dim=1).to(torch.uint8).view(-1, 1, 1, 2)
    return Examples(pixels, labels, task)


def augmented():
    """Features as each rank's own augmentation makes them: others at every call."""
    generator = torch.Generator().manual_seed(0)
    return lambda examples: torch.randn(len(examples), 5, generator=generator)


def filled(stream, budget: int, sharing: str, ranks: int, select: str = "herding", policy: str = "total"):
    memory = DistributedMemory(budget, policy, select, torch.Generator().manual_seed(0), sharing, ranks)
    features, first = augmented(), 0
    for t, sizes in enumerate(stream):
        memory.update(task_of(sizes, t, first), features)
        first += len(sizes)
        yield memory


@settings(max_examples=100, deadline=None)
@given(
    STREAMS,
    st.integers(4, 100),
    st.sampled_from(["global", "distributed"]),
    st.integers(2, 4),
    st.sampled_from(["herding", "random"]),
)
def test_the_union_never_exceeds_the_stated_budget(stream, budget, sharing, ranks, select):
    for memory in filled(stream, budget, sharing, ranks, select):
        assert len(memory) <= budget
        assert memory.distinct == len(memory) == len(memory.examples().images.flatten(1).unique(dim=0))
        assert memory.nbytes == len(memory) * (2 + 8)


@pytest.mark.parametrize("sharing", ["global", "distributed"])
def test_two_ranks_and_2000(sharing):
    for memory in filled([[500] * 10] * 5, 2000, sharing, 2):
        assert len(memory) == memory.distinct == 2000
    assert {len(memory.of(label)) for label in memory.classes} == {40}


def test_each_rank_a_whole_budget_holds_up_to_twice_as_much_and_the_count_says_so():
    *_, memory = filled([[500] * 10] * 2, 2000, "each", 2)
    assert len(memory) == 4000
    assert 3000 < memory.distinct < 4000  # 100 of 500 twice: one in five is drawn by both
    same = DistributedMemory(100, "total", "herding", torch.Generator(), "each", 2)
    data = task_of([200], 0, 0)
    same.update(data, lambda examples: examples.images.flatten(1).float())
    assert (len(same), same.distinct) == (200, 100)  # plain features: both ranks choose the same


@settings(max_examples=30, deadline=None)
@given(STREAMS, st.integers(1, 100), st.integers(1, 3))
def test_global_is_the_one_memory_whatever_the_ranks(stream, budget, ranks):
    one = ExemplarMemory(budget, "total", "herding", torch.Generator().manual_seed(0))
    features, first = augmented(), 0
    for t, memory in enumerate(filled(stream, budget, "global", ranks)):
        one.update(task_of(stream[t], t, first), features)
        first += len(stream[t])
        assert torch.equal(memory.examples().images, one.examples().images)
        assert memory.classes == one.classes


def test_ranks_of_a_distributed_memory_choose_from_shards_of_their_own():
    *_, memory = filled([[60, 60]], 60, "distributed", 3)
    kept = [{image.numpy().tobytes() for image in part.examples().images} for part in memory.parts]
    assert [len(k) for k in kept] == [20, 20, 20]
    assert len(set.union(*kept)) == 60


def test_errors():
    with pytest.raises(ValueError, match="divided among 3"):
        DistributedMemory(2, "total", "herding", torch.Generator(), "distributed", 3)
    with pytest.raises(KeyError, match="no exemplars of label 7"):
        next(filled([[3]], 3, "distributed", 2)).of(7)


@pytest.mark.parametrize("sharing", ["distributed", "each"])
def test_how_many_ranks_must_be_said(sharing):
    with pytest.raises(ValueError, match="ranks: 2"):
        DistributedMemory(100, "total", "herding", torch.Generator(), sharing)
