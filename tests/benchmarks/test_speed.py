"""What `make speed` compares: the same network, loop and number of steps, with data and without."""

import json

import torch

from benchmarks.cell.fit import fit
from benchmarks.cell.run import task_view
from benchmarks.speed.images import FixedTensors, image_ratios
from methods import Recipe
from tests.conftest import SMALL_MODEL, small_split

RECIPE = Recipe.model_validate_json(
    json.dumps({"epochs": None, "steps": 3, "batch_size": 10, "drop_last": True, "augmentation": "cifar"})
)


def test_fixed_tensors_are_the_same_at_every_step():
    scenario = small_split("class")
    method = FixedTensors().start(scenario, SMALL_MODEL, RECIPE.model_copy(update={"augmentation": ()}))
    task = task_view(scenario, scenario.tasks[0], False)
    method.enter(task)
    seen, observe = [], method.observe
    method.observe = lambda batch, *rest: (seen.append(batch.x.clone()), observe(batch, *rest))[1]
    fit(method, method.phase(task.train))
    assert len(seen) == 3
    assert all(torch.equal(seen[0], x) for x in seen)


def test_a_ratio_a_pair():
    ratios = image_ratios(small_split("class"), RECIPE, SMALL_MODEL, "cpu", pairs=2)
    assert len(ratios) == 2
    assert all(ratio > 0 for ratio in ratios)
