"""`compile` reaches what trains: the steps of a method's main phase run compiled code."""

import pytest
import torch

from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import train_task
from methods import METHODS, OptimizerSettings, Recipe
from tests.conftest import small_model, small_split
from tests.methods.helpers import TINY_RESNET
from tests.methods.test_contract import make

RECIPE = Recipe(epochs=2, batch_size=20, optimizer=OptimizerSettings(lr=0.01))
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
    ran, modes = [], set()

    def backend(graph, inputs):
        def call(*arguments):
            ran.append(graph)
            return graph(*arguments)

        return call

    original = torch.compile

    def compile_(function, mode=None):
        modes.add(mode)
        return original(function, backend=backend)

    def compile_module(self, mode=None):
        self._compiled_call_impl = compile_(self._call_impl, mode)

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(torch.nn.Module, "compile", compile_module)
    from methods.core import compiled

    compiled._compiled.cache_clear()
    torch._dynamo.reset()
    yield ran, modes
    compiled._compiled.cache_clear()
    torch._dynamo.reset()


@pytest.mark.parametrize("how", [True, "reduce-overhead"])
@pytest.mark.parametrize("name", CASES)
def test_every_step_that_trains_a_backbone_runs_compiled_code(name, how, eager_graphs, monkeypatch):
    ran, modes = eager_graphs
    begun = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append(len(ran)))
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    small = {"compression_epochs": 2, "finetune_epochs": 2}
    method = make(name, **small).start(
        scenario,
        TINY_RESNET if "resnet18" in METHODS[name].backbones else small_model(name),
        RECIPE.model_copy(update={"compile": how}),
    )
    step, phases = method.observe, {}

    def observe(batch, optimizer, phase):
        before, steps = len(ran), len(begun)
        loss = step(batch, optimizer, phase)
        phases.setdefault((method.task.id, phase.name), []).append(len(ran) - before)
        # what a CUDA graph gave the step before is free to be overwritten only where a step begins
        assert begun[steps:] == ([before] if how == "reduce-overhead" else [])
        return loss

    method.observe = observe
    for task in scenario.tasks:
        train_task(method, scenario, task, Trainer())
    assert {phase for _, phase in phases} >= CASES[name]
    for (task, phase), graphs in phases.items():
        if phase in CASES[name]:
            # in the first epoch the first step of each kind runs eagerly, to have its FLOPs counted
            assert all(graphs[len(graphs) // 2 :]), (task, phase, graphs)
    assert modes == {None if how is True else how}
    if how == "reduce-overhead":  # whose results are overwritten: features of whole data sets are not of it
        before = len(ran)
        with torch.no_grad():
            method.predict(method.normalise(scenario.tasks[0].train.images[:4]), 0)
        assert len(ran) == before


def test_all_methods_that_are_tried_exist():
    assert set(CASES) <= set(METHODS)
