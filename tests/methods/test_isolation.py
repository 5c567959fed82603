"""Methods that keep each task's part of a network apart: separate networks, gates, packed weights."""

import copy

import pytest
import torch

from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import task_view, train_task
from methods import OptimizerSettings, PackNet, Recipe, Separate, XdG
from models import MLPSettings
from tests.conftest import SHORT, SMALL_MODEL, small_split

MODEL = MLPSettings(hidden=(20, 10))
MOMENTUM = SHORT
DECAY = Recipe(epochs=3, batch_size=10, optimizer=OptimizerSettings(name="adamw", lr=0.01, weight_decay=0.1))
KEPT = Recipe(epochs=3, batch_size=10, optimizer=OptimizerSettings(name="adam", lr=0.01), optimizer_state="kept")


def scenario():
    return small_split("task", tasks=3, class_order=(0, 1, 2, 3, 4, 5))


def answers(method, stream):
    """Scores of each task seen, over its own columns: those that compete where the task is told."""
    with torch.no_grad():
        return [
            method.predict(stream.normalise(t.test.kept.images), t.id)[:, t.outputs]
            for t in stream.tasks[: method.seen]
        ]


@pytest.mark.parametrize("recipe", [MOMENTUM, DECAY, KEPT])
@pytest.mark.parametrize("head", ["multi", "masked"])
@pytest.mark.parametrize("cls", [Separate, PackNet])
def test_answers_stay_bit_identical_ever_after(cls, head, recipe):
    stream, trainer = scenario(), Trainer()
    method = cls().start(stream, MODEL.model_copy(update={"head": head}), recipe)
    before: list = []
    for task in stream.tasks:
        train_task(method, stream, task, trainer)
        now = answers(method, stream)
        for old, new in zip(before, now, strict=False):
            assert torch.equal(old, new)
        before = now


def test_separate_networks_are_frozen_bit_for_bit_and_sized_as_asked():
    stream = scenario()
    method = Separate(hidden_units=7).start(stream, MODEL, MOMENTUM)
    states = []
    for task in stream.tasks:
        train_task(method, stream, task)
        states.append(copy.deepcopy(method.network.networks[task.id].state_dict()))
    for network, state in zip(method.network.networks, states, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    own = 64 * 7 + 7 + 7 * 7 + 7 + 7 * 2 + 2
    assert method.parameters_report() == {"total": 3 * own, "frozen": 2 * own, "trainable": own}


def test_separate_networks_start_from_different_weights():
    stream = scenario()
    method = Separate().start(stream, SMALL_MODEL, MOMENTUM)
    first = [method.enter(task_view(stream, t, False)) or method.network.networks[t.id] for t in stream.tasks[:2]]
    assert not torch.equal(*(n.backbone.layers[0].weight for n in first))


@pytest.mark.parametrize("gating", [0.0, 0.5, 0.9])
def test_gates_silence_the_stated_share_of_every_layer(gating):
    method = XdG(gating=gating).start(scenario(), MODEL, MOMENTUM)
    for layer, width in enumerate(MODEL.hidden):
        gates = method.network.gates(layer)
        assert gates.shape == (3, width)
        assert (gates.sum(1) == width - int(gating * width)).all()
        if gating == 0.5:
            assert not torch.equal(gates[0], gates[1])


def test_gates_depend_on_the_seed_alone_and_never_change():
    stream = scenario()
    method = XdG().start(stream, MODEL, MOMENTUM, seed=1)
    before = method.network.gates(0).clone()
    for task in stream.tasks:
        train_task(method, stream, task)
    assert torch.equal(method.network.gates(0), before)
    assert torch.equal(XdG().start(stream, MODEL, DECAY, seed=1).network.gates(0), before)
    assert not torch.equal(XdG().start(stream, MODEL, MOMENTUM, seed=2).network.gates(0), before)


def test_a_silenced_unit_neither_speaks_nor_learns():
    stream = scenario()
    method = XdG(gating=0.5).start(stream, MODEL, Recipe(epochs=2, batch_size=10, optimizer=OptimizerSettings(lr=0.05)))
    layer = method.network.backbone.layers[0]
    before = layer.weight.detach().clone()
    train_task(method, stream, stream.tasks[0])
    silent = method.network.gates(0)[0] == 0
    assert torch.equal(layer.weight[silent], before[silent])
    assert (layer.weight[~silent] != before[~silent]).any()
    x = stream.normalise(stream.tasks[0].test.kept.images)
    old = method.predict(x, 0).detach()
    with torch.no_grad():
        layer.weight[silent] = 100.0
    assert torch.equal(method.predict(x, 0), old)


def test_gates_follow_each_example_of_a_mixed_batch():
    stream = scenario()
    method = XdG(gating=0.5).start(stream, MODEL, MOMENTUM)
    x = stream.normalise(stream.tasks[0].test.kept.images[:2])
    mixed = method.network(x, torch.tensor([0, 1]))
    torch.testing.assert_close(mixed[:1, :2], method.predict(x[:1], 0)[:, :2])
    torch.testing.assert_close(mixed[1:, 2:4], method.predict(x[1:], 1)[:, 2:4])


@pytest.mark.parametrize("recipe", [MOMENTUM, DECAY, KEPT])
def test_kept_weights_biases_and_heads_stay_bit_identical(recipe):
    stream, trainer = scenario(), Trainer()
    method = PackNet(prune=0.5).start(stream, MODEL, recipe)
    kept: list[dict] = []
    for task in stream.tasks:
        train_task(method, stream, task, trainer)
        for k, old in enumerate(kept):
            for name, value in old.items():
                now = method.network.get_parameter(name).detach()
                mine = method._owner[name] == k if name in method._owner else torch.ones_like(now, dtype=torch.bool)
                assert torch.equal(now[mine], value[mine])
        fixed = ["backbone.layers.0.bias", f"head.layers.{task.id}.weight", f"head.layers.{task.id}.bias"]
        kept.append({n: method.network.get_parameter(n).detach().clone() for n in [*method._owner, *fixed]})


def test_pruning_halves_what_is_free_by_magnitude_and_freed_weights_are_zero():
    stream = scenario()
    method = PackNet(prune=0.5).start(stream, MODEL, MOMENTUM)
    phases = method.phases(view := task_view(stream, stream.tasks[0], False))
    method.enter(view)
    next(phases)  # ends the training that this test leaves out: the initial weights are pruned
    weight = method.network.backbone.layers[0].weight.detach().clone()
    second = next(phases)
    owner = method._owner["backbone.layers.0.weight"]
    assert weight[owner == 0].abs().min() >= weight[owner < 0].abs().max()
    assert not method.network.backbone.layers[0].weight[owner < 0].any()
    assert (second.name, second.recipe.epochs) == ("retrain", round(SHORT.epochs * 0.5))
    for task in stream.tasks:
        train_task(method := method if task.id else PackNet(prune=0.5).start(stream, MODEL, MOMENTUM), stream, task)
    owner, n = method._owner["backbone.layers.1.weight"], 200
    assert [int((owner == k).sum()) for k in (0, 1, 2, -1)] == [n // 2, n // 4, n // 8, n // 8]
    assert not method.network.backbone.layers[1].weight[owner < 0].any()
    later = sum(int((o < 0).sum()) for o in method._owner.values())
    assert method.parameters_report()["trainable"] == later


def test_later_tasks_use_what_earlier_ones_have_packed():
    stream = scenario()
    method = PackNet().start(stream, MODEL, MOMENTUM)
    for task in stream.tasks[:2]:
        train_task(method, stream, task)
    x = stream.normalise(stream.tasks[1].test.kept.images)
    before = method.predict(x, 1).detach()
    with torch.no_grad():
        weight = method.network.backbone.layers[0].weight
        weight[method._owner["backbone.layers.0.weight"] == 0] = 0
    assert not torch.equal(method.predict(x, 1), before)


def test_retraining_s_schedule_shrinks_with_its_length():
    stream = scenario()
    recipe = Recipe(
        epochs=8, schedule="multistep", milestones=(4, 6), warmup_epochs=2, optimizer=OptimizerSettings(lr=0.1)
    )
    method = PackNet(retrain=0.5).start(stream, MODEL, recipe)
    view = task_view(stream, stream.tasks[0], False)
    method.enter(view)
    main, retrain = method.phases(view)
    assert (main.recipe.epochs, main.recipe.milestones, main.recipe.warmup_epochs) == (8, (4, 6), 2)
    assert (retrain.recipe.epochs, retrain.recipe.milestones, retrain.recipe.warmup_epochs) == (4, (2, 3), 1)
