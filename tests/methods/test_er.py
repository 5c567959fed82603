"""Experience replay: what is stored, and how new and old are weighed."""

import torch
import torch.nn.functional as F

from benchmarks.cell.run import task_view, train_task
from methods import ER
from tests.conftest import SHORT, SMALL_MODEL, small_split


def test_memory_by_task_holds_only_finished_tasks_in_equal_shares():
    scenario = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    method = ER(buffer_size=30, memory="tasks").start(scenario, SMALL_MODEL, SHORT)
    held = []
    for task in scenario.tasks:
        train_task(method, scenario, task)
        held.append(torch.bincount(method.buffer.all().task_ids, minlength=3).tolist())
    assert held == [[10, 0, 0], [10, 10, 0], [10, 10, 10]]


def test_replay_by_share_weighs_past_tasks_by_their_number():
    scenario = small_split("domain", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    method = ER(buffer_size=30, memory="tasks", weighting="share").start(scenario, SMALL_MODEL, SHORT)
    for task in scenario.tasks[:2]:
        train_task(method, scenario, task)
    method.enter(task_view(scenario, scenario.tasks[2], False))
    batch = method.batch(scenario.tasks[2].train.examples())
    assert len(batch) > 20, "the whole memory fits in a replayed batch, so that nothing depends on the draw"
    old = method.batch(method.buffer.all())
    new, replayed = (F.cross_entropy(method.network(b.x), b.y) for b in (batch, old))
    torch.testing.assert_close(method.loss(batch), new / 3 + replayed * 2 / 3)
