"""L2 and MAS against their equations."""

import pytest
import torch

from benchmarks.cell.run import task_view, train_task
from methods import L2, MAS, OptimizerSettings, Recipe
from tests.conftest import SHORT, SMALL_MODEL, small_split

PLAIN = Recipe(epochs=1, batch_size=10, optimizer=OptimizerSettings(lr=0.05))


def trained(method, setting: str, tasks: int = 1, recipe: Recipe = SHORT, **changes):
    scenario = small_split(setting, tasks=3, class_order=(0, 1, 2, 3, 4, 5), **changes)
    method = method.start(scenario, SMALL_MODEL, recipe)
    for task in scenario.tasks[:tasks]:
        train_task(method, scenario, task)
    return scenario, method


def gradients(method, x, columns, value):
    scores = method.network(x, method.task.id)[:, columns]
    return torch.autograd.grad(value(scores), list(method.network.parameters()), allow_unused=True)


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_l2_pulls_every_parameter_to_the_latest_solution(setting):
    scenario, method = trained(L2(strength=0.3), setting, tasks=2)
    anchors = [p.detach().clone() for p in method.network.parameters()]
    old_rows = [len(a) for a in anchors]
    method.enter(task_view(scenario, scenario.tasks[2], False))
    parameters = list(method.network.parameters())
    for p in parameters:
        p.data.add_(0.1)
        p.grad = torch.zeros_like(p)
    method.adjust_gradients(None)
    for p, a, rows in zip(parameters, anchors, old_rows, strict=True):
        torch.testing.assert_close(p.grad[:rows], 2 * 0.3 * (p.detach()[:rows] - a))
        assert not p.grad[rows:].any()  # rows that did not exist have nothing to stay near


def test_l2_holds_output_rows_that_no_task_has_trained():
    """The heads of tasks to come exist in a multi-head network, and are held at their initial values."""
    _, method = trained(L2(), "task")
    assert all((f == 1).all() for f in method.penalty.importance)
    assert len(method.penalty.importance) == len(list(method.network.parameters()))


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_mas_importance_is_the_mean_absolute_gradient_of_the_squared_norm(setting):
    scenario, method = trained(MAS(), setting, samples_per_task=13)
    x = scenario.normalise(scenario.tasks[0].train.examples().images)
    columns = slice(0, 2)
    expected = [torch.zeros_like(p) for p in method.network.parameters()]
    for n in range(len(x)):
        for e, g in zip(expected, gradients(method, x[n : n + 1], columns, lambda s: s.square().sum()), strict=True):
            if g is not None:
                e += g.abs() / len(x)
    for ours, e in zip(method.penalty.importance, expected, strict=True):
        torch.testing.assert_close(ours, e, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_mas_by_batch_is_the_mean_over_batches_of_the_gradient_of_the_mean_square(setting):
    """One batch holds the whole task here, so its order does not matter."""
    recipe = PLAIN.model_copy(update={"batch_size": 40})
    scenario, method = trained(MAS(importance_per="batch"), setting, recipe=recipe)
    x = scenario.normalise(scenario.tasks[0].train.examples().images)
    expected = gradients(method, x, slice(0, 2), lambda s: s.square().mean())
    for ours, g in zip(method.penalty.importance, expected, strict=True):
        torch.testing.assert_close(ours, torch.zeros_like(ours) if g is None else g.abs())


def test_mas_by_batch_weighs_each_batch_of_the_recipe_alike():
    scenario, method = trained(MAS(importance_per="batch"), "domain", recipe=PLAIN, samples_per_task=25)
    order = torch.randperm(25, generator=method.generator("importance", 0))
    x = scenario.normalise(scenario.tasks[0].train.examples().images)
    parts = [gradients(method, x[rows], slice(0, 2), lambda s: s.square().mean()) for rows in order.split(10)]
    assert [len(rows) for rows in order.split(10)] == [10, 10, 5]
    for ours, *grads in zip(method.penalty.importance, *parts, strict=True):
        torch.testing.assert_close(ours, sum(g.abs() for g in grads) / 3)


@pytest.mark.parametrize("importance_per", ["example", "batch"])
@pytest.mark.parametrize("setting", ["task", "class"])
def test_mas_sums_importance_over_tasks_and_moves_its_anchor(importance_per, setting):
    scenario, method = trained(MAS(importance_per=importance_per), setting)
    first = [f.clone() for f in method.penalty.importance]
    train_task(method, scenario, scenario.tasks[1])
    fresh = MAS(importance_per=importance_per).start(scenario, SMALL_MODEL, SHORT)
    fresh.task, fresh.seen, fresh.network = method.task, method.seen, method.network
    fresh.end_task(task_view(scenario, scenario.tasks[1], False))
    for total, old, new in zip(method.penalty.importance, first, fresh.penalty.importance, strict=True):
        expected = new.clone()
        expected[: len(old)] += old
        torch.testing.assert_close(total, expected)
    for anchor, p in zip(method.penalty.anchor, method.network.parameters(), strict=True):
        assert torch.equal(anchor, p)


@pytest.mark.parametrize("name", ["l2", "mas"])
def test_a_strong_penalty_forgets_less(name):
    """Domain-incremental: the first task's answers hardly move when nothing that matters may."""
    cls, strong = {"l2": (L2, 10.0), "mas": (MAS, 3.0)}[name]
    slow = Recipe(epochs=20, batch_size=10, optimizer=OptimizerSettings(lr=0.02))
    moved = {}
    for strength in (0.0, strong):
        scenario, method = trained(cls(strength=strength), "domain", recipe=slow)
        x = scenario.normalise(scenario.tasks[0].test.kept.images)
        before = method.predict(x).detach()
        train_task(method, scenario, scenario.tasks[1])
        moved[strength] = float((method.predict(x).detach() - before).abs().mean())
    assert moved[strong] < 0.5 * moved[0.0]
