"""The upper bound on the network of the transformers that grow: one token and one head, whatever the number of tasks."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cell.evaluate import evaluate
from benchmarks.cell.run import task_view, train_task
from methods import Joint, Recipe
from models import TaskTransformerSettings
from scenarios import Scenario
from tests.conftest import SETTINGS, SMALL_TRANSFORMER, small_split
from tests.methods.growing import RECIPE, SCENARIO

torch.set_num_threads(1)
MODEL = TaskTransformerSettings(**SMALL_TRANSFORMER, patch=2)


def trained(scenario: Scenario = SCENARIO, recipe: Recipe = RECIPE, **settings) -> Joint:
    method = Joint(**settings).start(scenario, MODEL, recipe)
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


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_answers_for_what_the_network_has_columns_for(setting):
    scenario = small_split(setting, tasks=2, class_order=(0, 1, 2, 3))
    method = Joint().start(scenario, MODEL, RECIPE)
    rows = [evaluate(method, scenario)]
    for task in scenario.tasks:
        train_task(method, scenario, task)
        rows.append(evaluate(method, scenario))
    for i, row in enumerate(rows):
        assert [cell is not None for cell in row] == [scenario.layout.can_evaluate(j, i) for j in range(2)]


@pytest.mark.parametrize("criterion", ["ce", "bce"])
def test_the_loss_is_that_of_its_criterion(criterion):
    method = Joint(criterion=criterion).start(SCENARIO, MODEL, RECIPE)
    method.enter(task_view(SCENARIO, SCENARIO.tasks[0], True))
    method.network.eval()
    batch = method.batch(SCENARIO.tasks[0].train.examples())
    logits = method.network(batch.x)
    expected = (
        F.cross_entropy(logits, batch.y)
        if criterion == "ce"
        else F.binary_cross_entropy_with_logits(logits, F.one_hot(batch.y, 2).float())
    )
    torch.testing.assert_close(method.loss(batch), expected)
