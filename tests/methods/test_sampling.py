"""Passes over data: repeated augmentation, several ranks, and orders."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cell.fit import fit
from benchmarks.cost.phase import phase_cost
from benchmarks.cost.valueless import valueless
from methods import METHODS, Recipe
from methods.core.augmentation import Flip
from methods.core.sampling import Sampling
from scenarios import Examples
from scenarios.image_files import repeats
from tests.conftest import SHORT, SMALL_MODEL, small_split
from tests.methods.helpers import enter

torch.set_num_threads(1)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_by_default_a_pass_is_a_permutation():
    assert torch.equal(Sampling().rows(50, generator()), torch.randperm(50, generator=generator()))


@pytest.mark.parametrize("ranks", [2, 4])
def test_repeated_augmentation_is_what_ranks_read_together(ranks):
    """Each of DeiT's ranks repeats one permutation three times, takes every ranks-th of it, and stops after as many as
    it would have had without repeating. A step of all is a step of ours."""
    n, batch = 700, 64
    repeated = torch.randperm(n, generator=generator()).repeat_interleave(3)
    per_rank = [repeated[rank::ranks][: n // ranks] for rank in range(ranks)]
    ours = Sampling(views=3).rows(n, generator())
    assert len(ours) == n
    for step in range(n // batch):
        theirs = torch.cat([own[step * batch // ranks : (step + 1) * batch // ranks] for own in per_rank])
        assert torch.equal(ours[step * batch : (step + 1) * batch].sort().values, theirs.sort().values)


@given(st.integers(1, 60), st.integers(1, 4), st.booleans())
def test_a_pass_is_as_long_as_it_says_and_shows_views_side_by_side(n, views, all_views):
    sampling = Sampling(views=views, all_views=all_views)
    rows = sampling.rows(n, generator())
    assert len(rows) == sampling.length(n) == n * (views if all_views else 1)
    counts = rows.bincount(minlength=n)
    assert counts.max() <= views
    assert len(rows.unique_consecutive()) == len(rows.unique())  # its views stand together
    if all_views:
        assert (counts == views).all()


def test_the_recipe_s_views_reach_the_steps_and_are_augmented_apart():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    recipe = SHORT.model_copy(
        update={"epochs": 1, "batch_size": 12, "repeated_augmentation": 3, "augmentation": (Flip(op="flip"),)}
    )
    method = enter(METHODS["finetune"]().start(scenario, SMALL_MODEL, recipe), scenario, 0)
    phase = method.phase(method.task.train)
    batches = []
    observe = method.observe
    method.observe = lambda batch, *rest: (batches.append(batch), observe(batch, *rest))[1]
    fit(method, phase)
    assert [len(b) for b in batches] == [12, 12, 12, 4]
    first = batches[0]
    stored = first.examples.images.flatten(1)
    assert len(stored.unique(dim=0)) == 4  # of 12, three views each
    assert len(first.x.flatten(1).unique(dim=0)) > 4


def test_the_cost_of_a_phase_counts_the_pass_and_not_the_data():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = enter(METHODS["finetune"]().start(scenario, SMALL_MODEL, Recipe(epochs=2, batch_size=10)), scenario, 0)
    train = method.task.train
    with valueless() as counted:
        plain, _ = phase_cost(method, method.phase(train), counted)
        longer, _ = phase_cost(method, method.phase(train, sampling=Sampling(views=2, all_views=True)), counted)
    assert longer.steps == 2 * plain.steps
    assert longer.flops == 2 * plain.flops


def test_files_of_one_row_in_a_row_are_told_apart():
    assert repeats(torch.tensor([7, 7, 7, 3, 3, 9, 7])).tolist() == [0, 1, 2, 0, 1, 0, 0]
    assert repeats(torch.tensor([], dtype=torch.int64)).tolist() == []
    assert repeats(torch.arange(5)).tolist() == [0] * 5


def test_memories_of_ranks_take_turns():
    data = Examples(torch.zeros(10, 1, 1, 1, dtype=torch.uint8), torch.arange(10), 0)
    sampling = Sampling(shuffle=False, ranks=2, own=3)  # 4 in common, then 3 of each rank
    assert sampling.rows(len(data), generator()).tolist() == [0, 1, 2, 3, 4, 8, 6]
