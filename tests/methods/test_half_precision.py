"""Under bf16 scores are float32: with three digits a hundred classes tie."""

from __future__ import annotations

import pytest
import torch

from benchmarks.cell.run import train_task
from benchmarks.contract.trial import RECIPE, make, model_for, small_scenario
from methods import METHODS
from models.full_precision import full_precision, widened

HALF = RECIPE.model_copy(update={"precision": "bf16"})


@pytest.mark.parametrize("name", METHODS)
def test_predictions_are_no_half_precision(name):
    cls = METHODS[name]
    setting = "task" if cls.needs_task_id else "class"
    scenario = small_scenario(setting)
    method = make(cls).start(scenario, model_for(cls), HALF, seed=0)
    for task in scenario.tasks[:2]:
        train_task(method, scenario, task)
    method.network.eval()
    x = scenario.normalise(scenario.tasks[0].test.kept.images[:4])
    with torch.no_grad(), method.precision():
        scores = method.predict(x, *((0,) if setting == "task" else ()))
    assert scores.dtype in (torch.float32, torch.float64)


def test_only_half_precision_is_widened():
    for dtype in (torch.float32, torch.float64):
        assert widened(torch.ones(2, dtype=dtype)).dtype == dtype
    assert widened(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float32
    a, b = torch.rand(3, 5), torch.rand(5, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (a @ b).dtype == torch.bfloat16
        with full_precision(a):
            assert torch.equal(a @ b, torch.matmul(a, b))
            assert (a @ b).dtype == torch.float32
        assert (a @ b).dtype == torch.bfloat16
