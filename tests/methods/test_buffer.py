"""Reservoir, quotas and episodic memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.parts.episodic import EpisodicMemory
from methods.parts.reservoir import Reservoir, even_quotas
from scenarios import Examples


def numbered(start: int, n: int, task: int = 0) -> Examples:
    """Examples whose label is their place in the stream."""
    return Examples(torch.zeros(n, 1, 1, 1, dtype=torch.uint8), torch.arange(start, start + n), task)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(0, 40), max_size=8), st.integers(0, 2**31))
def test_reservoir_never_exceeds_its_budget_and_fills_it_when_it_can(capacity, batches, seed):
    buffer = Reservoir(capacity, torch.Generator().manual_seed(seed))
    seen = 0
    for n in batches:
        buffer.add(numbered(seen, n))
        seen += n
        assert len(buffer) == min(seen, capacity)
    if seen:
        labels = buffer.examples.labels.tolist()
        assert len(set(labels)) == len(labels) == min(seen, capacity)
        assert set(labels) <= set(range(seen))


def test_a_batch_is_as_good_as_one_by_one():
    """The same draws, taken one example at a time as in Vitter's algorithm R, leave the same examples."""
    capacity, sizes = 7, [3, 10, 1, 30]
    buffer = Reservoir(capacity, torch.Generator().manual_seed(5))
    draws = torch.Generator().manual_seed(5)
    slots: list[int] = []
    seen = 0
    for n in sizes:
        buffer.add(numbered(seen, n))
        u = torch.rand(n, generator=draws, dtype=torch.float64)
        for k in range(n):
            s = seen + k
            if s < capacity:
                slots.append(s)
            elif (slot := int(u[k] * (s + 1))) < capacity:
                slots[slot] = s
        seen += n
    assert buffer.examples.labels.tolist() == slots


def test_reservoir_is_uniform_over_the_stream():
    """Each of 50 examples should be kept in capacity/50 of the runs, early or late: a chi-square test."""
    counts, runs, capacity = np.zeros(50), 4000, 10
    for seed in range(runs):
        buffer = Reservoir(capacity, torch.Generator().manual_seed(seed))
        for start in range(0, 50, 5):
            buffer.add(numbered(start, 5))
        counts[buffer.examples.labels.numpy()] += 1
    expected = runs * capacity / 50
    statistic = ((counts - expected) ** 2 / (expected * (1 - capacity / 50))).sum()
    assert statistic < 85.4  # 99.9% quantile of chi-square with 49 degrees of freedom is 85.35


def test_samples_are_different_examples():
    buffer = Reservoir(20, torch.Generator().manual_seed(0))
    buffer.add(numbered(0, 12))
    assert len(set(buffer.sample(8).labels.tolist())) == 8
    assert sorted(buffer.sample(50).labels.tolist()) == list(range(12))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 2**31))
def test_what_is_kept_beside_an_example_stays_with_it_and_changes_no_draw(capacity, batches, seed):
    plain = Reservoir(capacity, torch.Generator().manual_seed(seed))
    buffer = Reservoir(capacity, torch.Generator().manual_seed(seed))
    seen = 0
    for n in batches:
        new = numbered(seen, n)
        plain.add(new)
        buffer.add(new, half=new.labels.float()[:, None] / 2)
        seen += n
    if seen:
        rows = buffer.pick(7)
        assert torch.equal(buffer.examples[rows].labels, plain.sample(7).labels)
        assert torch.equal(buffer.beside["half"][rows, 0], buffer.examples[rows].labels / 2)


@settings(max_examples=100)
@given(st.integers(0, 5000), st.integers(1, 60))
def test_quotas_are_as_even_as_arithmetic_allows(budget, parts):
    quotas = even_quotas(budget, parts)
    assert sum(quotas) == budget
    assert max(quotas) - min(quotas) <= 1


@pytest.mark.parametrize("select", ["last", "random"])
def test_episodic_memory_keeps_a_share_of_each_task(select):
    memory = EpisodicMemory(11, 3, select, torch.Generator().manual_seed(0))
    for task in range(3):
        memory.store(numbered(100 * task, 50, task))
    assert [len(t) for t in memory.tasks] == [4, 4, 3]
    assert len(memory) == 11
    assert memory.all().task_ids.tolist() == [0] * 4 + [1] * 4 + [2] * 3
    if select == "last":
        assert memory.tasks[1].labels.tolist() == [146, 147, 148, 149]


def test_a_budget_below_one_example_a_task_is_refused():
    with pytest.raises(ValueError, match="without a single example"):
        EpisodicMemory(2, 3, "last", torch.Generator())


@pytest.mark.parametrize("data", ["folders", "shuffled"])
def test_the_last_of_data_stored_class_by_class_are_not_all_of_one_class(data):
    """As a tree of folders is; data that is mixed as it stands keeps its own last ones."""
    labels = torch.arange(2).repeat_interleave(100)
    if data == "shuffled":
        labels = labels[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    memory = EpisodicMemory(60, 2, "last", torch.Generator().manual_seed(0))
    memory.store(Examples(torch.arange(200).view(200, 1, 1, 1), labels, 0))
    stored = memory.all()
    assert torch.equal(stored.labels, labels[stored.images.flatten()])
    assert 9 <= int(stored.labels.sum()) <= 21  # of 30
    assert (stored.images.flatten().tolist() == list(range(170, 200))) == (data == "shuffled")


def test_one_class_is_in_no_order():
    memory = EpisodicMemory(4, 2, "last", torch.Generator().manual_seed(0))
    memory.store(Examples(torch.arange(9).view(9, 1, 1, 1), torch.zeros(9, dtype=torch.int64), 0))
    assert memory.all().images.flatten().tolist() == [7, 8]
