"""Small real runs of a method, watched: what it learned after each task, what it touched, what it cost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cell.evaluate import Counts, evaluate
from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import train_task
from methods import Method, OptimizerSettings, Recipe
from models import MLPSettings, ModelSettings, model_settings
from scenarios import Scenario, Split, Task
from scenarios.seeding import preserved_rng_state

RECIPE = Recipe(epochs=30, schedule_scale=0.1, batch_size=10, optimizer=OptimizerSettings(lr=0.05, momentum=0.9))
"""Three epochs; phases of a method's own are a tenth of their length too."""
SMALL_MLP = MLPSettings(hidden=(16,))
SMALL_TRANSFORMER = {"dim": 12, "heads": 3, "depth": 1}
SMALL_VIT = {"backbone": "timm:test_vit", "image_size": 32, "init": "xavier"}
"""For methods that train parts of a vision transformer: six blocks, five tokens."""
CLASSES = (0, 1, 2, 3, 4, 5)
BUFFER = 10
"""`buffer_size` of a method that has one: far less than a task's 40 images."""


def small_scenario(setting: str, classes: tuple[int, ...] = CLASSES, images: int = 40) -> Scenario:
    """Three tasks of real digits, `images` training images each."""
    stream = Split(data="digits", setting=setting, tasks=3, class_order=classes, samples_per_task=images)  # type: ignore[arg-type]
    return stream.build(seed=0)


def with_other_tests(scenario: Scenario) -> Scenario:
    """The same training data; test images mirrored, their labels in another order."""
    flipped = [
        replace(
            task, test=replace(task.test, pixel_map=lambda images: images.flip(-1), labels=task.test.labels.flip(0))
        )
        for task in scenario.tasks
    ]
    return replace(scenario, tasks=tuple(flipped))


SMALL = {"buffer_size": BUFFER, "finetune_epochs": 2, "random_features": 50, "pool": 6}
"""Hyperparameters that say how large something is, where a method has them."""


class OffLimits(RuntimeError):
    """A method reached for data that it may not see."""


class _Data:
    """Stands in for a task's data where a method is built: its size is known, its images and labels are not."""

    def __init__(self, what: str, size: int, touched: list[str]):
        self._what, self._size, self._touched = what, size, touched

    def __len__(self) -> int:
        return self._size

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # copy and pickle look for their own hooks
            raise AttributeError(name)
        self._touched.append(f"{self._what}.{name}")
        raise OffLimits(
            f"reads {self._what}.{name}: a method sees the data that begin_task and phases hand it, and no other"
        )


def sealed(scenario: Scenario, touched: list[str]) -> Scenario:
    """`scenario` without images and labels, as `build` may see it; whatever is reached for is noted in `touched`."""

    def seal(task: Task) -> Task:
        name = f"scenario.tasks[{task.id}]"
        train, test = (
            _Data(f"{name}.{part}", len(data), touched) for part, data in (("train", task.train), ("test", task.test))
        )
        return replace(task, train=train, test=test)  # type: ignore[arg-type]

    return replace(scenario, tasks=tuple(seal(task) for task in scenario.tasks))


@dataclass
class Run:
    """A method taken through `scenario`. rows: of the accuracy matrix, 0 to T; states: the network's state_dict after
    each task; footprints: after each task; touched: data that `build` reached for."""

    scenario: Scenario
    method: Method
    trainer: Trainer
    rows: list[list[Counts]] = field(default_factory=list)
    states: list[dict[str, Tensor]] = field(default_factory=list)
    footprints: list[dict[str, int]] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)

    def evaluate(self) -> None:
        self.rows.append(evaluate(self.method, self.scenario))

    def train(self, task: Task) -> None:
        train_task(self.method, self.scenario, task, self.trainer)
        self.states.append({name: value.detach().clone() for name, value in self.method.network.state_dict().items()})
        self.footprints.append(self.method.footprint())


def start(cls: type[Method], scenario: Scenario, recipe: Recipe = RECIPE, trainer: Trainer | None = None) -> Run:
    """A run of `cls` before its first task, with a buffer of BUFFER where it has one.

    Raises OffLimits where it reads data while it is built; where it catches that itself, the run's `touched` tells.
    """
    touched: list[str] = []
    method = make(cls).start(sealed(scenario, touched), model_for(cls), recipe, seed=0)
    return Run(scenario, method, trainer or Trainer(), touched=touched)


def complete(run: Run) -> Run:
    """Takes a started run through all tasks, evaluating before the first and after each."""
    run.evaluate()
    for task in run.scenario.tasks:
        run.train(task)
        run.evaluate()
    return run


def make(cls: type[Method]) -> Method:
    """`cls` with its defaults, but a small buffer where it has settings for one."""
    names = cls._hyperparameter_names()
    return cls.from_settings({name: value for name, value in SMALL.items() if name in names})


def model_for(cls: type[Method]) -> ModelSettings:
    """A small network of a kind that `cls` can train."""
    if "mlp" in cls.backbones:
        return SMALL_MLP
    if cls.backbones[0] == "timm":
        return model_settings(SMALL_VIT)
    small = SMALL_TRANSFORMER if cls.backbones[0].endswith("transformer") else {}
    return model_settings({"backbone": cls.backbones[0]} | small)


@contextmanager
def global_generators(seed: int) -> Iterator[None]:
    """Python's, numpy's and torch's global generators at `seed`; afterwards as they were."""
    with preserved_rng_state():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        yield


def same_state(one: dict[str, Tensor], other: dict[str, Tensor]) -> str | None:
    """None where two networks are the same bit for bit, else the name of the first part that differs."""
    if one.keys() != other.keys():
        return sorted(one.keys() ^ other.keys())[0]
    return next((n for n in one if one[n].shape != other[n].shape or not torch.equal(one[n], other[n])), None)
