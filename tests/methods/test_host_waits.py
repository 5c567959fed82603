"""How often a step makes the host wait for an accelerator: never, but for the methods that must ask it."""

import pytest
import torch

from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import train_task
from methods import METHODS
from tests.conftest import SHORT, small_model
from tests.methods.test_contract import brief, two_tasks
from tests.pretended_gpu import counting_gpu

__all__ = ["counting_gpu"]

BOUND = {"gem": 1}
"""Waits a step; 0 for all others. GEM's quadratic program is solved on the processor, from products that it must have."""
RUNS = [
    *((name, {}) for name, cls in METHODS.items() if cls.family != "prototypes"),  # which take no steps
    ("er", {"memory": "tasks"}),
    ("gem", {"rehearse": True, "share": "seen"}),
    ("podnet", {"nca": "release"}),
    ("derpp", {"offer": "every_epoch"}),
    ("dytox", {"sam": 0.5}),
]
RECIPE = SHORT.model_copy(update={"epochs": 2, "batch_size": 20})


@pytest.mark.parametrize(("name", "changes"), RUNS)
def test_a_step_does_not_wait(name, changes, counting_gpu):
    scenario = two_tasks(name)
    method = brief(name, **changes).start(scenario, small_model(name), RECIPE, device="cuda:0")
    step, steps, waits = method.observe, 0, []

    def observe(*arguments):
        nonlocal steps
        counting_gpu.waits.clear()
        loss = step(*arguments)
        steps += 1
        waits.extend(counting_gpu.waits.elements())
        return loss

    method.observe = observe
    for task in scenario.tasks:
        train_task(method, scenario, task, Trainer())
    assert steps
    assert len(waits) <= BOUND.get(name, 0) * steps, waits


def test_what_waits_is_counted(counting_gpu):
    """Each of these makes the host of a real device wait, as its documentation says."""
    x, here = torch.ones(3, device="cuda:0"), torch.ones(3)
    asks = [
        lambda: x.sum().item(),
        lambda: bool((x > 0).all()),
        lambda: x[x > 0],
        lambda: x[torch.tensor([0, 1])],
        lambda: x.cpu(),
        lambda: here.to("cuda:0"),
        lambda: torch.tensor([1.0], device="cuda:0"),
        lambda: x.nonzero(),
    ]
    for ask in asks:
        counting_gpu.waits.clear()
        ask()
        assert counting_gpu.waits.total() == 1, ask
    counting_gpu.waits.clear()
    y = here.to("cuda:0", non_blocking=True)
    torch.where(x > 0, x, y).sum()
    x[torch.zeros(2, dtype=torch.int64, device="cuda:0")]
    torch.zeros(3, device="cuda:0")
    assert not counting_gpu.waits
