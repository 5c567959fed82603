"""Recipes: learning rates, the first task, scaled lengths, and what does not go together."""

import json
import math

import pytest
import torch
from pydantic import ValidationError

from benchmarks.cell.run import task_view
from methods import METHODS, Recipe
from methods.core.recipe import ClipGradient
from methods.core.schedule import lr_factor
from tests.conftest import SETTINGS, SMALL_MODEL, small_model, small_split
from tests.methods.test_contract import make, possible


def recipe(**settings) -> Recipe:
    return Recipe.model_validate_json(json.dumps(settings))


def phases(recipe: Recipe, **changes) -> list:
    """The phase of each of two tasks of 40 images."""
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = METHODS["finetune"]().start(scenario, SMALL_MODEL, recipe)
    made = []
    for task in scenario.tasks:
        method.enter(task_view(scenario, task, False))
        made.append(method.phase(task.train.examples(), **changes))
    return made


def test_multistep_multiplies_at_each_milestone():
    (phase, _) = phases(recipe(epochs=4, batch_size=10, schedule="multistep", milestones=[1, 3], gamma=0.5))
    assert [phase.lr_factor(step) for step in (0, 3, 4, 11, 12, 15)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_warmup_rises_linearly_and_cosine_ends_at_the_minimum():
    settings = {"optimizer": {"lr": 0.2}, "warmup_epochs": 1, "warmup_start": 0.1, "min_lr": 0.05}
    (phase, _) = phases(recipe(epochs=4, batch_size=10, schedule="cosine", **settings))
    rates = [0.2 * phase.lr_factor(step) for step in range(17)]
    assert rates[:4] == pytest.approx([0.1, 0.125, 0.15, 0.175])
    # as in timm the warm-up does not delay the cosine
    assert rates[4] == pytest.approx(0.05 + 0.15 * 0.5 * (1 + math.cos(math.pi * 4 / 16)))
    assert rates[16] == pytest.approx(0.05)


def test_without_warmup_and_minimum_the_cosine_is_exactly_the_plain_one():
    factor = lr_factor("cosine", 7, [])
    assert [factor(s) for s in range(8)] == [0.5 * (1 + math.cos(math.pi * s / 7)) for s in range(8)]


def test_the_first_task_may_differ():
    r = recipe(
        epochs=17,
        schedule="multistep",
        milestones=[8, 12],
        optimizer={"lr": 0.1, "weight_decay": 2e-4},
        first={"epochs": 20, "milestones": [6, 12, 17], "optimizer": {"weight_decay": 5e-4}},
    )
    first, second = phases(r)
    assert (first.recipe.epochs, first.recipe.milestones, first.recipe.optimizer.weight_decay) == (
        20,
        (6, 12, 17),
        5e-4,
    )
    assert first.recipe.optimizer.lr == second.recipe.optimizer.lr == 0.1
    assert (second.recipe.epochs, second.recipe.milestones, second.recipe.optimizer.weight_decay) == (17, (8, 12), 2e-4)


@pytest.mark.parametrize("length", ["epochs", "steps"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_the_first_task_as_first_says(name, length):
    """Also where it reads the recipe itself: retraining, steps a class, an optimizer with another rate."""
    setting = next(s for s in SETTINGS if possible(name, s))
    scenario = small_split(setting, tasks=2, class_order=(0, 1, 2, 3))
    plain = {"epochs": None, length: 1, "batch_size": 20}
    own = {"epochs": None, length: 8, "batch_size": 5, "optimizer": {"lr": 0.002, "momentum": 0.5}}
    found = []
    for settings in (plain | {"first": {k: v for k, v in own.items() if v}}, own):
        method = make(name).start(scenario, small_model(name), recipe(**settings))
        view = task_view(scenario, scenario.tasks[0], False)
        method.enter(view)
        found.append(
            [(p.name, p.total_steps, p.recipe.batch_size, p.recipe.optimizer.model_dump()) for p in method.phases(view)]
        )
        assert method.recipe.batch_size == 5
        method.enter(task_view(scenario, scenario.tasks[1], method.sees_past_data))
        assert method.recipe.batch_size == settings["batch_size"]
    assert found[0] == found[1]


def test_joint_takes_the_steps_of_each_task_seen():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = METHODS["joint"]().start(scenario, SMALL_MODEL, recipe(epochs=None, steps=10, first={"steps": 100}))
    steps = []
    for task in scenario.tasks:
        view = task_view(scenario, task, True)
        method.enter(view)
        steps += [phase.total_steps for phase in method.phases(view)]
    assert steps == [100, 110]


def test_schedule_scale_scales_every_length_alike_and_keeps_an_epoch():
    r = recipe(
        epochs=170, schedule="multistep", milestones=[80, 120, 150], schedule_scale=0.1, first={"warmup_epochs": 10}
    )
    first, second = phases(r)
    assert (second.recipe.epochs, second.recipe.milestones, second.recipe.warmup_epochs) == (17, (8, 12, 15), 0)
    assert first.recipe.warmup_epochs == 1
    own = phases(r, name="finetune", epochs=25, schedule="constant")[1]
    assert (own.recipe.epochs, own.recipe.milestones) == (3, ())  # 2.5: halves up
    assert phases(r, epochs=2)[1].recipe.epochs == 1
    assert phases(recipe(epochs=None, steps=25, schedule_scale=0.1))[0].recipe.steps == 3


def test_a_phase_of_its_own_length_or_schedule_leaves_the_recipes():
    r = recipe(epochs=None, steps=7, schedule="multistep", milestones=[3], warmup_epochs=1)
    own = phases(r, epochs=2, schedule="cosine")[1]
    assert (own.recipe.epochs, own.recipe.steps, own.recipe.milestones, own.recipe.warmup_epochs) == (2, None, (), 0)
    assert phases(r)[1].recipe.warmup_epochs == 1


def test_a_phase_cannot_change_what_belongs_to_the_method_and_a_misspelt_setting_is_named():
    with pytest.raises(TypeError, match="precision: no setting that a phase"):
        phases(recipe(), precision="bf16")
    with pytest.raises(TypeError, match="did you mean 'epochs'"):
        phases(recipe(), epoch=3)
    with pytest.raises(ValueError, match="milestones and schedule"):
        phases(recipe(), milestones=(2,))


def test_clipping():
    p = torch.nn.Parameter(torch.zeros(3))
    p.grad = torch.tensor([3.0, -9.0, 0.5])
    ClipGradient(value=5.0)([p])
    assert p.grad.tolist() == [3.0, -5.0, 0.5]
    ClipGradient(norm=1.0)([p])
    assert float(p.grad.norm()) == pytest.approx(1, abs=1e-5)


def test_a_preset_stands_in_the_recipe_as_its_operations():
    r = recipe(augmentation="dytox")
    assert [o.op for o in r.augmentation] == ["crop", "flip", "randaugment"]
    assert r.augmentation[2].fill == (124, 116, 104)
    assert r == Recipe.model_validate_json(r.model_dump_json())
    assert recipe(augmentation=[{"op": "crop", "padding": 2}]).augmentation[0].padding == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"milestones": [3]}, ["milestones and schedule: multistep go together"]),
        ({"schedule": "multistep", "milestones": [3, 2]}, ["do not rise"]),
        ({"min_lr": 0.1, "warmup_start": 0.1}, ["min_lr belongs to", "warmup_start belongs to"]),
        ({"first": {"epoch": 3, "precision": "bf16"}}, ["did you mean 'epochs'", "first.precision"]),
        ({"first": {"epochs": 0}}, ["first.epochs"]),
        ({"clip_gradient": {"value": 1.0, "norm": 1.0}}, ["exactly one of value and norm"]),
        ({"augmentation": "cifar-jiter"}, ["did you mean 'cifar-jitter'"]),
        ({"augmentation": [{"op": "crop", "paddin": 3}]}, ["paddin"]),
    ],
)
def test_what_does_not_go_together_is_said_all_at_once(settings, said):
    with pytest.raises(ValidationError) as error:
        recipe(**settings)
    assert all(text in str(error.value) for text in said)
