"""Batches that cannot be trained on, found before anything is."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.cost.count import cost_of
from benchmarks.request.suite import CellSettings
from models import ModelSettings
from scenarios import Scenario

NO_BATCH = "make no batch of"
ONE_VALUE = "Expected more than 1 value per channel"


def batch_problem(cell: CellSettings, scenario: Scenario, data_root: str | None) -> str | None:
    """Why some task of `cell` has a batch that cannot be made or normalised; None where all have none such.

    Where drop_last leaves a small task without a batch, or a batch of one image would leave batch normalisation a
    single value, the cell is taken through its tasks without values: what a method replays beside a batch counts.
    """
    if not (_drops_all(cell, scenario) or _normalises_one_value(cell.model, scenario.image_shape)):
        return None
    cost = cost_of(cell, data_root)
    task = f"task {len(cost.tasks) + 1} of {len(scenario.tasks)}"
    if cost.error and NO_BATCH in cost.error:
        return f"{task}: {cost.error.partition(': ')[2]}; a smaller training.batch_size, or drop_last: false"
    if cost.error and ONE_VALUE in cost.error:
        return (
            f"{task}: its last batch has one image, of which batch normalisation would see a single value; "
            "training.drop_last: true, or another batch_size"
        )
    return None


def _drops_all(cell: CellSettings, scenario: Scenario) -> bool:
    stored = cell.method.settings.get("buffer_size")
    for task in scenario.tasks:
        recipe = cell.training.at(task.id)
        if recipe.drop_last and min(len(task.train), stored or recipe.batch_size) < recipe.batch_size:
            return True
    return False


@lru_cache
def _normalises_one_value(model: ModelSettings, image_shape: tuple[int, int, int]) -> bool:
    """Whether the network cannot be trained on one image, whose last maps are a pixel each."""
    if getattr(model, "frozen", False):
        return False
    backbone = model.without_weights().build(image_shape).train()
    if not any(isinstance(m, _BatchNorm) for m in backbone.modules()):
        return False
    try:
        with torch.no_grad():
            backbone(torch.zeros(1, *image_shape))
    except ValueError as error:
        return ONE_VALUE in str(error)
    return False
