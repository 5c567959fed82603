"""An overflow in fp16: a step that the scaler skips leaves a method as it was, or the method refuses fp16."""

import pytest
import torch

from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import train_task
from methods import METHODS
from tests.conftest import SHORT, small_model, small_split
from tests.methods.test_contract import brief, make, two_tasks

FP16 = SHORT.model_copy(update={"epochs": 1, "batch_size": 20, "precision": "fp16"})
REFUSED = {"si": {}, "gem": {}, "dgr": {}, "dytox": {"sam": 0.5}}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(name):
    with pytest.raises(ValueError, match=r"cannot train in fp16, .*; bf16 and fp32 can"):
        make(name, **REFUSED[name]).start(small_split("class"), small_model(name), FP16)


@pytest.mark.parametrize(
    "name",
    [name for name in METHODS if (name not in REFUSED or REFUSED[name]) and METHODS[name].family != "prototypes"],
)
def test_an_overflow_leaves_no_trace(name):
    scenario = two_tasks(name)
    method = brief(name).start(scenario, small_model(name), FP16)
    adjust, overflows = method.adjust_gradients, 0

    def overflow(batch):
        """Every third step one of the gradients is infinite, as the unscaled gradients of an overflow are."""
        nonlocal overflows
        if method.steps_here % 3 == 1:
            next(p for p in method.network.parameters() if p.grad is not None).grad.fill_(torch.inf)
            for state in method.scaler._per_optimizer_states.values():
                for found in state["found_inf_per_device"].values():
                    found.fill_(1.0)
            overflows += 1
        method.steps_here += 1
        adjust(batch)

    method.steps_here, method.adjust_gradients = 0, overflow
    for task in scenario.tasks:
        train_task(method, scenario, task, Trainer())  # raises Diverged where a number is not finite
    assert overflows
    state = [v for v in vars(method).values() if isinstance(v, torch.Tensor) and v.is_floating_point()]
    assert all(v.isfinite().all() for v in state)
