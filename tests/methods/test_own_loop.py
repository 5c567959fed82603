"""A method with a loop of its own: counted, drawn and resumed as any other."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import evaluate, task_view, train_task
from benchmarks.cost.count import cost_of
from benchmarks.request.suite import CellSettings, MethodSettings, Resolved
from methods import METHODS, OwnLoop, hyper
from scenarios import Split
from tests.conftest import SHORT, SMALL_MODEL, small_split


class Script(OwnLoop):
    """Adam, shuffled batches."""

    about = "a script"
    lr: float = hyper(0.01, "learning rate", "ours")

    def train(self, task):
        data = TensorDataset(self.normalise(task.train.images), task.train.labels)
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.lr)
        for _ in range(self.recipe.epochs):
            for x, y in DataLoader(data, batch_size=self.recipe.batch_size, shuffle=True):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(self.network(x), y).backward()
                optimizer.step()


def trained(cls=Script, scenario=None):
    scenario, trainer = scenario or small_split("class"), Trainer()
    method = cls().start(scenario, SMALL_MODEL, SHORT)
    for task in scenario.tasks:
        train_task(method, scenario, task, trainer)
    return method, scenario, trainer


def test_it_learns():
    method, scenario, _ = trained()
    correct, total = evaluate(method, scenario)[-1]
    assert correct / total > 0.8


def test_all_that_it_does_is_counted_as_torch_counts_it():
    scenario = small_split("class")
    _, _, trainer = trained(scenario=scenario)
    method, counted = Script().start(scenario, SMALL_MODEL, SHORT), 0
    for task in scenario.tasks:
        view = task_view(scenario, task, False)
        method.enter(view)
        with FlopCounterMode(display=False) as counter:
            method.train(view)
        counted += counter.get_total_flops()
    assert trainer.meter.total == counted > 0


def test_its_cost_is_known_before_it_runs(monkeypatch):
    monkeypatch.setitem(METHODS, "Script", Script)
    stream = Split(data="digits", setting="class", samples_per_task=40)
    settings = MethodSettings(name="Script", version=1, settings=Script().hyperparameters())
    cell = CellSettings("s/class", "Script", Resolved.of(stream, settings, SMALL_MODEL, SHORT), seed=0)
    cost = cost_of(cell)
    assert cost.error is None
    assert cost.training == trained()[2].meter.total


def test_global_generators_are_seeded_for_it_and_left_as_they_were():
    class Draws(Script):
        """Draws from all of them."""

        about = "draws"

        def train(self, task):
            super().train(task)
            self.drawn = [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002

    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        drawn.append(trained(Draws)[0].drawn)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_a_loop_that_is_missing_is_said():
    class Forgot(OwnLoop):
        """No loop."""

        about = "no loop"

    with pytest.raises(NotImplementedError, match=r"Forgot has no train\(self, task\)"):
        trained(Forgot)
