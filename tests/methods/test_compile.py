"""`compile: true` reaches what trains: the steps of a method's main phase run compiled code."""

import pytest
import torch

from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import train_task
from methods import METHODS, OptimizerSettings, Recipe
from tests.conftest import small_model, small_split
from tests.methods.helpers import TINY_RESNET
from tests.methods.test_contract import make

RECIPE = Recipe(epochs=2, batch_size=20, optimizer=OptimizerSettings(lr=0.01), compile=True)
CASES = {
    "finetune": {"train"},
    "podnet": {"train"},
    "foster": {"train", "boost", "compress"},
    "dytox": {"train", "finetune"},
    "dne": {"train", "finetune"},
    "l2p": {"train"},
    "coda-prompt": {"train"},
}


@pytest.fixture
def eager_graphs(monkeypatch):
    """Graphs that torch.compile has made, each run by Python: what is compiled is seen, without a compiler's minutes."""
    ran = []

    def backend(graph, inputs):
        def call(*arguments):
            ran.append(graph)
            return graph(*arguments)

        return call

    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda fn=None, **kw: original(fn, **kw | {"backend": backend}))
    monkeypatch.setattr(torch.nn.Module, "compile", _compile_with(backend))
    from methods.core import compiled

    compiled._compiled.cache_clear()
    torch._dynamo.reset()
    yield ran
    compiled._compiled.cache_clear()
    torch._dynamo.reset()


def _compile_with(backend):
    def compile_(self):
        self._compiled_call_impl = torch._dynamo.optimize(backend)(self._call_impl)

    return compile_


@pytest.mark.parametrize("name", CASES)
def test_every_step_that_trains_a_backbone_runs_compiled_code(name, eager_graphs):
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    small = {"compression_epochs": 2, "finetune_epochs": 2}
    method = make(name, **small).start(
        scenario, TINY_RESNET if "resnet18" in METHODS[name].backbones else small_model(name), RECIPE
    )
    step, phases = method.observe, {}

    def observe(batch, optimizer, phase):
        before = len(eager_graphs)
        loss = step(batch, optimizer, phase)
        phases.setdefault((method.task.id, phase.name), []).append(len(eager_graphs) - before)
        return loss

    method.observe = observe
    for task in scenario.tasks:
        train_task(method, scenario, task, Trainer())
    assert {phase for _, phase in phases} >= CASES[name]
    for (task, phase), graphs in phases.items():
        if phase in CASES[name]:
            # in the first epoch the first step of each kind runs eagerly, to have its FLOPs counted
            assert all(graphs[len(graphs) // 2 :]), (task, phase, graphs)
    assert set(CASES) <= set(METHODS)
