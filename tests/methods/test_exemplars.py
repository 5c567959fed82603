"""Herding, the shares of classes, and budgets of every buffer over random streams."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import METHODS
from methods.parts.distributed_memory import DistributedMemory
from methods.parts.episodic import EpisodicMemory
from methods.parts.exemplars import ExemplarMemory, herd
from methods.parts.reservoir import Reservoir, even_quotas
from scenarios import Examples
from tests.conftest import SMALL_MODEL, small_model, small_split
from tests.methods.test_contract import make

STREAMS = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=6)
"""Tasks as the number of examples of each of their classes."""


def task_of(sizes: list[int], task: int, first_label: int) -> Examples:
    """Examples of one task in random order; the pixels of each tell it from all others of its class."""
    labels = torch.repeat_interleave(torch.arange(len(sizes)) + first_label, torch.tensor(sizes))
    pixels = torch.cat([torch.arange(n) for n in sizes]).to(torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 1, 4)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(task))
    return Examples(pixels[order], labels[order], task)


def random_features(examples: Examples) -> torch.Tensor:
    """Five numbers that belong to an image, whatever it is seen with."""
    table = torch.randn(256, 5, generator=torch.Generator().manual_seed(0))
    return table[examples.images.flatten(1)[:, 0].long()]


def greedy_excess(features: torch.Tensor, chosen: list[int]) -> float:
    """By how much `chosen` ever misses the greedy optimum: Algorithm 4 of Rebuffi et al. 2017, word by word.

    p_k = argmin over x not yet chosen of |mu - (phi(x) + sum of phi(p_j)) / k|; 0 up to rounding where equal ones tie.
    """
    phi = [row / row.norm() for row in features.double()]
    mean = sum(phi) / len(phi)
    excess = 0.0
    for k in range(1, len(chosen) + 1):
        before = chosen[: k - 1]
        distance = {
            i: float((mean - (phi[i] + sum(phi[j] for j in before)) / k).norm())
            for i in range(len(phi))
            if i not in before
        }
        excess = max(excess, distance[chosen[k - 1]] - min(distance.values()))
    return excess


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 25), st.integers(1, 25), st.integers(1, 6), st.integers(0, 2**31))
def test_herding_is_the_greedy_rule_and_stable_when_cut(n, m, d, seed):
    features = torch.randn(n, d + 1, generator=torch.Generator().manual_seed(seed))
    chosen = herd(features, m).tolist()
    assert len(set(chosen)) == len(chosen) == min(n, m)
    assert greedy_excess(features, chosen) < 1e-12
    for k in range(m):
        assert herd(features, k).tolist() == chosen[:k]


def test_equal_or_zero_features_are_chosen_once_each():
    assert sorted(herd(torch.ones(6, 3), 6).tolist()) == list(range(6))
    assert sorted(herd(torch.zeros(6, 3), 9).tolist()) == list(range(6))


def test_herded_means_are_nearer_than_those_of_random_subsets():
    features = torch.randn(200, 10, generator=torch.Generator().manual_seed(0)) + 0.5
    unit = F.normalize(features, dim=1)
    error = (unit[herd(features, 10)].mean(0) - unit.mean(0)).norm()
    draws = [torch.randperm(200, generator=torch.Generator().manual_seed(s))[:10] for s in range(50)]
    assert error < min((unit[rows].mean(0) - unit.mean(0)).norm() for rows in draws)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 100), STREAMS, st.sampled_from(["herding", "random"]), st.booleans())
def test_a_total_budget_is_never_exceeded_and_shared_evenly(budget, stream, select, shared_labels):
    memory = ExemplarMemory(budget, "total", select, torch.Generator().manual_seed(0))
    sizes, first = [], 0
    for t, task in enumerate(stream):
        memory.update(task_of(task, t, 0 if shared_labels else first), random_features)
        first += len(task)
        sizes += task
        assert len(memory) <= budget
        shares = even_quotas(budget, len(sizes))
        assert max(shares) - min(shares) <= 1
        assert [len(e) for e in memory._groups.values()] == [min(s, n) for s, n in zip(shares, sizes, strict=True)]
        if all(n >= max(shares) for n in sizes):
            assert len(memory) == budget
        assert memory.nbytes == len(memory) * (4 + 8)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20), STREAMS, st.sampled_from(["herding", "random"]))
def test_a_budget_per_class_is_never_exceeded(budget, stream, select):
    memory = ExemplarMemory(budget, "per_class", select, torch.Generator().manual_seed(0))
    sizes: list[int] = []
    for t, task in enumerate(stream):
        memory.update(task_of(task, t, len(sizes)), random_features)
        sizes += task
        assert memory.classes == list(range(len(sizes)))
        assert [len(memory.of(label)) for label in memory.classes] == [min(budget, n) for n in sizes]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 100), STREAMS, st.sampled_from(["herding", "random"]))
def test_old_classes_shrink_to_the_first_of_what_was_chosen(budget, stream, select):
    memory = ExemplarMemory(budget, "total", select, torch.Generator().manual_seed(0))
    before: dict = {}
    first = 0
    for t, task in enumerate(stream):
        memory.update(task_of(task, t, first), random_features)
        first += len(task)
        for key, old in before.items():
            assert torch.equal(memory._groups[key].images, old.images[: len(memory._groups[key])])
        before = dict(memory._groups)
        for e in before.values():
            assert len(e.images.flatten(1).unique(dim=0)) == len(e)  # none twice


def test_herding_memory_holds_the_herd_of_each_class():
    data = task_of([30, 20], 0, 0)
    memory = ExemplarMemory(10, "total", "herding", torch.Generator())
    memory.update(data, random_features)
    for label in (0, 1):
        own = data[(data.labels == label).nonzero().flatten()]
        assert torch.equal(memory.of(label).images, own[herd(random_features(own), 5)].images)
        assert (memory.of(label).labels == label).all()


def test_classes_already_stored_are_not_chosen_anew():
    memory = ExemplarMemory(10, "total", "random", torch.Generator().manual_seed(0))
    data = task_of([30, 20], 0, 0)
    memory.update(data)
    before = memory.examples()
    memory.update(data)
    assert torch.equal(memory.examples().images, before.images)


def test_of_a_label_that_several_tasks_share_all_exemplars_are_given():
    memory = ExemplarMemory(9, "total", "random", torch.Generator().manual_seed(0))
    for t in range(2):
        memory.update(task_of([30, 30], t, 0))
    assert memory.classes == [0, 1]
    assert memory.of(0).task_ids.tolist() == [0] * 3 + [1] * 2
    with pytest.raises(KeyError, match="label 7"):
        memory.of(7)


def test_herding_without_features_and_a_memory_without_room_are_refused():
    with pytest.raises(ValueError, match="needs features"):
        ExemplarMemory(5, "total", "herding", torch.Generator()).update(task_of([3], 0, 0))
    with pytest.raises(ValueError, match="at least one"):
        ExemplarMemory(0, "total", "random", torch.Generator())


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 100), STREAMS, st.sampled_from(["last", "random"]))
def test_reservoir_and_episodic_memory_keep_their_budgets_too(budget, stream, select):
    reservoir = Reservoir(budget, torch.Generator().manual_seed(0))
    episodic = None
    if budget >= len(stream):
        episodic = EpisodicMemory(budget, len(stream), select, torch.Generator().manual_seed(0))
    seen = 0
    for t, task in enumerate(stream):
        data = task_of(task, t, 0)
        seen += len(data)
        reservoir.add(data)
        assert len(reservoir) == len(reservoir.examples) == min(budget, seen)
        if episodic is not None:
            episodic.store(data)
            assert len(episodic) <= budget
            assert len(episodic.tasks[t]) == min(len(data), even_quotas(budget, len(stream))[t])


EXEMPLAR_METHODS = ["replay", "icarl", "gdumb", "wa", "bic", "ucir", "podnet", "der_expand", "foster", "dytox", "dne"]


@pytest.mark.parametrize("name", EXEMPLAR_METHODS)
def test_fewer_exemplars_than_classes_are_refused_at_the_start(name):
    scenario = small_split("class")
    with pytest.raises(ValueError, match="buffer_size: 9 exemplars leave some of 10 classes without one"):
        make(name, buffer_size=9).start(scenario, small_model(name))
    make(name, buffer_size=10).start(scenario, small_model(name))
    if "policy" in METHODS[name]().hyperparameters():
        make(name, buffer_size=1, policy="per_class").start(scenario, small_model(name))


def test_every_method_with_an_exemplar_memory_is_among_them():
    scenario = small_split("class")
    holders = {
        name
        for name in METHODS
        if METHODS[name].incompatibility(scenario.layout) is None
        for value in vars(make(name).start(scenario, small_model(name))).values()
        if isinstance(value, ExemplarMemory | DistributedMemory)
    }
    assert holders == set(EXEMPLAR_METHODS)


def test_where_tasks_share_labels_each_has_its_own_share():
    with pytest.raises(ValueError, match="some of 10 classes"):
        make("icarl", buffer_size=9).start(small_split("domain"), SMALL_MODEL)
