"""What `make speed` compares: the same network, loop and number of steps, with data and without."""

import json

import pytest
import torch

from benchmarks.cell.fit import fit
from benchmarks.cell.run import task_view
from benchmarks.speed.features import BATCHES, extraction_shares
from benchmarks.speed.images import FixedTensors, image_ratios
from benchmarks.speed.lean import SETTINGS, before_the_second_task, copied, evaluation_ratios, lean_loop, step_ratios
from benchmarks.speed.prompts import plain_loop, prompt_ratios, started
from methods import Recipe
from models import model_settings
from tests.conftest import SMALL_MODEL, SMALL_VIT, small_split

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


PROMPTS = RECIPE.model_copy(update={"augmentation": (), "batch_size": 40})


def test_the_plain_loop_of_prompts_takes_the_harness_s_steps():
    """Batches of all images: their order changes nothing, so that both end at the same prompts."""
    adam = PROMPTS.optimizer.model_copy(update={"name": "adam", "momentum": 0.0, "lr": 1e-3})
    recipe, scenario = PROMPTS.model_copy(update={"optimizer": adam}), small_split("class")
    by_hand, by_harness = (started(scenario, recipe, SMALL_VIT, "cpu", pool=5) for _ in range(2))
    plain_loop(by_hand, 3)
    fit(by_harness, by_harness.phase(by_harness.task.train))
    for one, other in zip(by_hand.network.parameters(), by_harness.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    moved = started(scenario, recipe, SMALL_VIT, "cpu", pool=5).network.prompts.keys[0]
    assert (by_hand.network.prompts.keys[0] - moved).abs().max() > 1e-3


def test_a_ratio_a_pair_of_prompts():
    ratios = prompt_ratios(small_split("class"), PROMPTS, SMALL_VIT, "cpu", pairs=2, pool=5)
    assert len(ratios) == 2
    assert all(ratio > 0 for ratio in ratios)


MLP = model_settings({"backbone": "mlp", "hidden": [12]})
STEPS = RECIPE.model_copy(update={"augmentation": (), "steps": None, "epochs": 2, "drop_last": False})


@pytest.mark.parametrize("name", SETTINGS)
def test_the_lean_loop_takes_the_harness_s_steps(name, monkeypatch):
    monkeypatch.setitem(
        SETTINGS, name, SETTINGS[name] | ({"buffer_size": 20} if "buffer_size" in SETTINGS[name] else {})
    )
    ready = before_the_second_task(small_split("domain"), name, STEPS, MLP)
    by_hand, by_harness = copied(ready), copied(ready)
    lean_loop(by_hand, STEPS)
    fit(by_harness, next(iter(by_harness.phases(by_harness.task))))
    for one, other, start in zip(by_hand.parameters, by_harness.parameters, ready.parameters, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
        assert not torch.equal(one, start)


def test_ratios_of_steps_and_of_evaluation():
    for ratios in (
        step_ratios(small_split("domain"), "finetune", STEPS, MLP, 2),
        evaluation_ratios(small_split("domain"), STEPS, MLP, 2),
    ):
        assert len(ratios) == 2
        assert all(ratio > 0 for ratio in ratios)


def test_extraction_against_a_bare_loop(monkeypatch):
    monkeypatch.setitem(BATCHES, "cpu", (2, 4))
    images = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8)
    size, shares = extraction_shares(SMALL_MODEL.build((3, 8, 8)), images, "cpu", 2)
    assert size in (2, 4)
    assert len(shares) == 2
    assert all(share > 0 for share in shares)
