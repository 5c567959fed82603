"""Every method on another device than the processor, which here is pretended."""

import io

import pytest
import torch

from benchmarks.cell.evaluate import evaluate
from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import train_task
from methods import METHODS
from tests.conftest import SHORT, small_model
from tests.methods.test_contract import brief, two_tasks
from tests.pretended_gpu import pretended_gpu

__all__ = ["pretended_gpu"]

RUNS = [
    *((name, {}) for name in METHODS),
    ("er", {"memory": "tasks"}),
    ("ewc", {"fisher_samples": 10}),
    ("ewc", {"fisher_of": "mean", "fisher_labels": "true"}),
    ("mas", {"importance_per": "batch"}),
    ("gem", {"rehearse": True, "share": "seen"}),
    ("icarl", {"flip_means": True}),
]
BRIEF = SHORT.model_copy(update={"epochs": 1, "batch_size": 20})


@pytest.mark.parametrize(("name", "changes"), RUNS)
def test_nothing_of_a_method_stays_on_the_processor(name, changes, pretended_gpu):
    scenario = two_tasks(name)
    method = brief(name, **changes).start(scenario, small_model(name), BRIEF, device=pretended_gpu)
    trainer = Trainer()
    for task in scenario.tasks:
        train_task(method, scenario, task, trainer)
        assert all(row is None or row[1] for row in evaluate(method, scenario))
    assert all(t.is_cuda for t in (*method.network.parameters(), *method.network.buffers()))
    torch.save(method, io.BytesIO())


def test_the_pretended_gpu_refuses_what_a_gpu_would(pretended_gpu):
    a, b = torch.ones(3, device=pretended_gpu), torch.ones(3)
    assert a.is_cuda
    assert (a.sum() * b[0]).device.type == "cuda"  # a number of the processor's is welcome
    assert not a.cpu().is_cuda
    refused = [
        lambda: a + b,
        lambda: b[a.long()],
        lambda: a.numpy(),
        lambda: a.index_select(0, b.long()),
        lambda: torch.rand(3, device=pretended_gpu, generator=torch.Generator()),
    ]
    for call in refused:
        with pytest.raises(AssertionError):
            call()
    b.copy_(a)
    assert not b.is_cuda
