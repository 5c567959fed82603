"""Naive rehearsal and the memory that it shares with GEM and A-GEM."""

import pytest
import torch

from benchmarks.cell.run import task_view, train_task
from methods import AGEM, GEM, Rehearsal
from methods.parts.episodic import EpisodicMemory
from scenarios import Examples
from tests.conftest import SHORT, SMALL_MODEL, small_split


def numbered(task: int, n: int = 40) -> Examples:
    """Examples whose label says which they are."""
    return Examples(torch.zeros(n, 1, 2, 2, dtype=torch.uint8), torch.arange(n) + 100 * task, task)


def test_shares_shrink_to_prefixes_and_the_budget_is_never_exceeded():
    memory = EpisodicMemory(30, 4, "random", torch.Generator().manual_seed(0), share="seen")
    before: list[list[int]] = []
    for task in range(4):
        memory.store(numbered(task))
        kept = [t.labels.tolist() for t in memory.tasks]
        assert [len(t) for t in kept] == [30 // (task + 1)] * (task + 1)
        assert len(memory) <= 30
        for old, now in zip(before, kept, strict=False):
            assert now == old[: len(now)]
        assert all(label // 100 == k for k, labels in enumerate(kept) for label in labels)
        assert len(set(kept[-1])) == len(kept[-1])
        before = kept
    assert before[0] != sorted(before[0])  # a random selection, not the first ones


def test_shares_of_all_tasks_never_change():
    memory = EpisodicMemory(30, 4, "random", torch.Generator().manual_seed(0))
    for task in range(4):
        memory.store(numbered(task))
    assert [len(t) for t in memory.tasks] == [8, 8, 7, 7]


def test_a_task_smaller_than_its_share_is_kept_whole():
    memory = EpisodicMemory(30, 2, "random", torch.Generator().manual_seed(0), share="seen")
    memory.store(numbered(0, 5))
    memory.store(numbered(1, 40))
    assert [len(t) for t in memory.tasks] == [5, 15]


@pytest.mark.parametrize(("buffer_size", "copies"), [(10, 4), (15, 2), (30, 1), (100, 1)])
def test_memory_is_repeated_to_about_the_size_of_the_new_data(buffer_size, copies):
    scenario = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    method = Rehearsal(buffer_size=buffer_size).start(scenario, SMALL_MODEL, SHORT)
    for task in scenario.tasks[:2]:
        train_task(method, scenario, task)
    view = task_view(scenario, scenario.tasks[2], False)
    method.enter(view)
    (phase,) = method.phases(view)
    per_task = min(40, buffer_size // 2)
    counts = torch.bincount(phase.data.task_ids)
    assert counts.tolist() == [copies * per_task, copies * per_task, 40]
    assert phase.recipe.epochs == SHORT.epochs
    stored = method.buffer.all()
    for label in stored.labels.unique():
        assert int((phase.data.labels == label).sum()) == copies * int((stored.labels == label).sum())


@pytest.mark.parametrize("cls", [GEM, AGEM])
def test_projection_methods_take_either_share(cls):
    scenario = small_split("domain", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    sizes = {}
    for share in ("all", "seen"):
        method = cls(buffer_size=12, share=share).start(scenario, SMALL_MODEL, SHORT)
        sizes[share] = []
        for task in scenario.tasks:
            train_task(method, scenario, task)
            sizes[share].append([len(t) for t in method.buffer.tasks])
    assert sizes == {"all": [[4], [4, 4], [4, 4, 4]], "seen": [[12], [6, 6], [4, 4, 4]]}


def test_a_gem_that_rehearses_trains_on_two_selections_a_task_within_one_budget():
    scenario = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    method = GEM(buffer_size=24, select="random", share="seen", rehearse=True).start(scenario, SMALL_MODEL, SHORT)
    for task in scenario.tasks[:2]:
        train_task(method, scenario, task)
    assert [(t.labels.numel(), int(t.task_ids[0])) for t in method.buffer.tasks] == [(6, 0), (6, 0), (6, 1), (6, 1)]
    view = task_view(scenario, scenario.tasks[2], False)
    method.enter(view)
    (phase,) = method.phases(view)
    assert torch.bincount(phase.data.task_ids).tolist() == [12, 12, 40]
    assert len(method._past) == 4, "each selection is a constraint of its own"
    with pytest.raises(ValueError, match="without a single example"):
        GEM(buffer_size=4, rehearse=True).start(scenario, SMALL_MODEL, SHORT)
