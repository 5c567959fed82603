"""EWC, SI and LwF against their equations."""

import copy

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cell.run import task_view, train_task
from methods import EWC, SI, LwF, OptimizerSettings, Recipe
from methods.core.losses import distillation
from methods.parts.quadratic import QuadraticPenalty
from tests.conftest import SHORT, SMALL_MODEL, small_split


def parameters(seed: int, rows: int = 4):
    torch.manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(rows, 3)), torch.nn.Parameter(torch.randn(rows))]


def importance(seed: int, rows: int = 4):
    torch.manual_seed(seed)
    return [torch.rand(rows, 3), torch.rand(rows)]


def test_merged_penalties_pull_like_their_sum():
    """Two tasks' penalties, the output layer having grown between them: gradient of F1 (t-t1)^2 + F2 (t-t2)^2."""
    first, second, now = parameters(0, 2), parameters(1, 4), parameters(2, 4)
    f1, f2 = importance(3, 2), importance(4, 4)
    penalty = QuadraticPenalty()
    penalty.add(f1, first)
    penalty.add(f2, second)
    expected = sum(
        (f * (p[: f.shape[0]] - a.detach()).square()).sum()
        for fisher, anchors in ((f1, first), (f2, second))
        for f, p, a in zip(fisher, now, anchors, strict=True)
    )
    expected_gradient = torch.autograd.grad(expected, now)
    for p in now:
        p.grad = torch.zeros_like(p)
    penalty.add_gradient(now, strength=0.7)
    for p, g in zip(now, expected_gradient, strict=True):
        torch.testing.assert_close(p.grad, 0.7 * g)


def test_penalty_gradient_is_that_of_its_value():
    now = parameters(2)
    penalty = QuadraticPenalty()
    penalty.replace(importance(3), parameters(0))
    expected = torch.autograd.grad(3.0 * penalty.value(now), now)
    for p in now:
        p.grad = torch.zeros_like(p)
    penalty.add_gradient(now, strength=3.0)
    for p, g in zip(now, expected, strict=True):
        torch.testing.assert_close(p.grad, g)


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_online_ewc_decays_and_moves_its_anchor(gamma):
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    method = EWC(variant="online", gamma=gamma, fisher_labels="true").start(scenario, SMALL_MODEL, SHORT)
    train_task(method, scenario, scenario.tasks[0])
    first = copy.deepcopy(method.penalty.importance)
    train_task(method, scenario, scenario.tasks[1])
    fresh = EWC(fisher_labels="true").start(scenario, SMALL_MODEL, SHORT)
    fresh.task, fresh.network = method.task, method.network
    fresh.end_task(task_view(scenario, scenario.tasks[1], False))
    for total, old, new in zip(method.penalty.importance, first, fresh.penalty.importance, strict=True):
        torch.testing.assert_close(total, gamma * old + new)
    for anchor, p in zip(method.penalty.anchor, method.network.parameters(), strict=True):
        assert torch.equal(anchor, p)


def test_half_is_half():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    whole = EWC(strength=5.0, half=False).start(scenario, SMALL_MODEL, SHORT)
    half = EWC(strength=10.0, half=True).start(scenario, SMALL_MODEL, SHORT)
    for method in (whole, half):
        for task in scenario.tasks:
            train_task(method, scenario, task)
    for a, b in zip(whole.network.parameters(), half.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_si_omega_is_the_path_integral_over_distance():
    """Plain SGD by hand on the same batches: omega_p = sum of -g_p * step_p, Omega = omega / (Delta^2 + xi)."""
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    recipe = Recipe(epochs=2, batch_size=10, optimizer=OptimizerSettings(lr=0.05))
    method = SI(damping=0.01).start(scenario, SMALL_MODEL, recipe)
    network = copy.deepcopy(method.network)
    batches = []
    original = method.observe
    method.observe = lambda batch, *rest: (batches.append((batch.x, batch.y)), original(batch, *rest))[1]
    train_task(method, scenario, scenario.tasks[0])
    start = [p.detach().clone() for p in network.parameters()]
    path = [torch.zeros_like(p) for p in start]
    for x, y in batches:
        grads = torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters()))
        with torch.no_grad():
            for p, g, w in zip(network.parameters(), grads, path, strict=True):
                w += -g * (-0.05 * g)
                p -= 0.05 * g
    for ours, p, s, w in zip(method.penalty.importance, network.parameters(), start, path, strict=True):
        torch.testing.assert_close(ours, w / ((p.detach() - s).square() + 0.01), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_ewc_of_the_mean_gradient_squares_the_gradient_of_the_tasks_loss(setting):
    scenario = small_split(setting, tasks=2, class_order=(0, 1, 2, 3))
    method = EWC(fisher_of="mean", fisher_labels="true").start(scenario, SMALL_MODEL, SHORT)
    train_task(method, scenario, scenario.tasks[0])
    method.network.eval()
    batch = method.batch(scenario.tasks[0].train.examples())
    gradients = torch.autograd.grad(
        method.cross_entropy(method.logits(batch), batch), list(method.network.parameters()), allow_unused=True
    )
    for ours, g in zip(method.penalty.importance, gradients, strict=True):
        torch.testing.assert_close(ours, torch.zeros_like(ours) if g is None else g.square(), rtol=1e-3, atol=1e-9)
    with pytest.raises(ValueError, match="fisher_of: mean goes with fisher_labels: true, not sampled"):
        EWC(fisher_of="mean")


@pytest.mark.parametrize(("setting", "groups"), [("task", 2), ("domain", 1), ("class", 1)])
def test_lwf_distils_the_old_outputs(setting, groups):
    scenario = small_split(setting, tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    method = LwF(temperature=2.0, strength=0.5).start(scenario, SMALL_MODEL, SHORT)
    for task in scenario.tasks[:2]:
        train_task(method, scenario, task)
    old = copy.deepcopy(method.network)
    method.enter(task_view(scenario, scenario.tasks[2], False))
    with torch.no_grad():  # move away from the old network, so that distillation has something to say
        for p in method.network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    batch = method.batch(scenario.tasks[2].train.examples())
    own = scenario.layout.active_in_training(2, 3)
    scores = method.network(batch.x)
    new = F.cross_entropy(scores[:, own.columns], batch.y - own.start)
    distil = 0.0
    past = scenario.layout.past_groups(2)
    assert len(past) == groups
    for g in past:
        q, log_p = F.softmax(old(batch.x)[:, g] / 2, 1), F.log_softmax(scores[:, g] / 2, 1)
        distil = distil - 4 * (q * log_p).sum(1).mean()
    torch.testing.assert_close(method.loss(batch), new + 0.5 * distil)


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_lwf_weightings_share_out_the_same_two_losses(setting):
    scenario = small_split(setting, tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    losses = {}
    for weighting, strength in [("sum", 1.0), ("sum", 0.0), ("tasks", 1.0), ("share", 1.0)]:
        torch.manual_seed(0)
        method = LwF(weighting=weighting, strength=strength).start(scenario, SMALL_MODEL, SHORT)
        for task in scenario.tasks[:2]:
            method.enter(task_view(scenario, task, False))
            method.end_task(method.task)
        method.enter(task_view(scenario, scenario.tasks[2], False))
        losses[weighting, strength] = method.loss(method.batch(scenario.tasks[2].train.examples()))
    new, summed = losses["sum", 0.0], losses["sum", 1.0]
    old = (summed - new) / len(scenario.layout.past_groups(2))
    torch.testing.assert_close(losses["tasks", 1.0], new + 2 * old)
    torch.testing.assert_close(losses["share", 1.0], new / 3 + 2 * old / 3)


@pytest.mark.parametrize(("setting", "columns"), [("task", 2), ("domain", 2), ("class", 6)])
def test_lwf_with_the_mean_over_classes_divides_the_distillation_by_the_students_columns(setting, columns):
    scenario = small_split(setting, tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    losses = {}
    for name, settings in {"new": {"strength": 0.0}, "summed": {}, "mean": {"class_mean": True}}.items():
        torch.manual_seed(0)
        method = LwF(columns="all", **settings).start(scenario, SMALL_MODEL, SHORT)
        for task in scenario.tasks[:2]:
            method.enter(task_view(scenario, task, False))
            method.end_task(method.task)
        method.enter(task_view(scenario, scenario.tasks[2], False))
        losses[name] = method.loss(method.batch(scenario.tasks[2].train.examples()))
    assert losses["summed"] > losses["new"]
    torch.testing.assert_close(losses["mean"], losses["new"] + (losses["summed"] - losses["new"]) / columns)


def test_lwf_over_all_columns_gives_the_new_ones_probability_zero():
    student, teacher = torch.randn(5, 4), torch.randn(5, 2)
    padded = torch.cat([F.softmax(teacher / 2, 1), torch.zeros(5, 2)], 1)
    expected = -4 * (padded * F.log_softmax(student / 2, 1)).sum(1).mean()
    torch.testing.assert_close(distillation(student, teacher, 2.0), expected)
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    losses = []
    for columns in ("old", "all"):
        method = LwF(columns=columns).start(scenario, SMALL_MODEL, SHORT)
        method.enter(task_view(scenario, scenario.tasks[0], False))
        method.end_task(method.task)
        method.enter(task_view(scenario, scenario.tasks[1], False))
        losses.append(method.loss(method.batch(scenario.tasks[1].train.examples())))
    assert losses[1] > losses[0], "the new columns take probability from the old ones"
