"""Progressive networks: old columns stay, capacity is reported."""

import torch

from benchmarks.cell.run import train_task
from methods import PNN
from tests.conftest import SHORT, SMALL_MODEL, small_split


def test_old_columns_are_bit_identical_after_later_tasks():
    scenario = small_split("task", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    method = PNN().start(scenario, SMALL_MODEL, SHORT)
    x = scenario.normalise(scenario.tasks[0].test.kept.images)
    weights, answers, reports = [], [], []
    for task in scenario.tasks:
        train_task(method, scenario, task)
        column = method.network.columns[task.id]
        weights.append({k: v.clone() for k, v in column.state_dict().items()})
        answers.append(method.predict(x, task.id))
        reports.append(method.parameters_report())
    for i, column in enumerate(method.network.columns):
        assert all(torch.equal(v, weights[i][k]) for k, v in column.state_dict().items())
        assert torch.equal(method.predict(x, i), answers[i])
    # 64-16-2 with laterals 16*(columns before)*2 into the output layer
    own = 64 * 16 + 16 + 16 * 2 + 2
    assert [r["trainable"] for r in reports] == [own + 16 * t * 2 for t in range(3)]
    assert [r["frozen"] for r in reports] == [0, own, 2 * own + 32]


def test_laterals_reach_the_new_column():
    """A new column's output depends on the old one's hidden activations."""
    scenario = small_split("task", tasks=2, class_order=(0, 1, 2, 3))
    method = PNN().start(scenario, SMALL_MODEL, SHORT)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    x = scenario.normalise(scenario.tasks[1].test.kept.images)
    before = method.predict(x, 1)
    with torch.no_grad():
        method.network.columns[0].own[0].weight.zero_()
    assert not torch.equal(before, method.predict(x, 1))
