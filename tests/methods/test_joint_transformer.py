"""The upper bound of the transformers that grow: one token and one head, whatever the number of tasks."""

import torch

from benchmarks.cell.run import task_view, train_task
from methods import JointTransformer, Recipe
from scenarios import Scenario
from tests.methods.growing import RECIPE, SCENARIO

torch.set_num_threads(1)
SMALL = {"dim": 24, "heads": 3, "depth": 1, "patch": 2}


def trained(scenario: Scenario = SCENARIO, recipe: Recipe = RECIPE, **settings) -> JointTransformer:
    method = JointTransformer(**SMALL, **settings).start(scenario, recipe=recipe)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    return method


def test_one_token_and_one_head_for_all_classes():
    method = trained()
    assert method.network.sizes == [6]
    assert len(method.network.tokens) == 1


def test_every_task_is_trained_on_all_data_so_far():
    method = trained()
    view = task_view(SCENARIO, SCENARIO.tasks[-1], True)
    assert [len(p.data) for p in method.phases(view)] == [sum(len(t.train) for t in SCENARIO.tasks)]
