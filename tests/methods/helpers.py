"""A tiny residual network on real digits, taken through tasks."""

from __future__ import annotations

import torch

from benchmarks.cell.run import task_view, train_task
from methods import Method, OptimizerSettings, Recipe
from models import ModelSettings, ResNetSettings
from scenarios import Scenario

TINY_RESNET = ResNetSettings(backbone="resnet18", width=0.0625)
BRIEF = Recipe(epochs=1, batch_size=40, optimizer=OptimizerSettings(lr=0.05, momentum=0.9, weight_decay=5e-4))


def learn(
    method: Method, scenario: Scenario, tasks: int, recipe: Recipe = BRIEF, model: ModelSettings = TINY_RESNET
) -> Method:
    """`method`, started and taken through the first `tasks` tasks."""
    method.start(scenario, model, recipe, seed=0)
    for task in scenario.tasks[:tasks]:
        train_task(method, scenario, task)
    return method


def enter(method: Method, scenario: Scenario, task: int) -> Method:
    """`method` as it stands before the first step of `task`."""
    method.enter(task_view(scenario, scenario.tasks[task], False))
    return method


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers (running statistics) as they are now."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def unchanged(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    """Whether every parameter and buffer is bit for bit as in `before`."""
    now = module.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in before)
