"""Images mixed in pairs: a loss follows what they are mixed of, or mixup is refused."""

from __future__ import annotations

import pytest
import torch

from benchmarks.cell.run import train_task
from benchmarks.contract.trial import RECIPE, make, model_for, small_scenario
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from methods import METHODS
from scenarios.mixup import Mixup
from tests.benchmarks.helpers import suite_file

MIXED = RECIPE.model_copy(update={"schedule_scale": 1.0, "epochs": 1, "mixup": Mixup(alpha=1.0)})


def started(name: str, recipe=MIXED):
    scenario = small_scenario("task" if METHODS[name].needs_task_id else "class")
    return make(METHODS[name]).start(scenario, model_for(METHODS[name]), recipe, seed=0), scenario


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if make(cls).reads_targets])
def test_the_loss_follows_what_images_are_mixed_of(name):
    method, scenario = started(name)
    own_loss, moved = method.loss, []

    def loss(batch):
        if batch.targets is not None:
            with torch.no_grad():
                before, targets = float(own_loss(batch)), batch.targets
                batch.targets = targets.flip(0)
                moved.append(float(own_loss(batch)) != before)
                batch.targets = targets
        return own_loss(batch)

    method.loss = loss
    for task in scenario.tasks[:2]:
        train_task(method, scenario, task)
    assert all(moved), "trains on mixed images as if they were one of the two"


@pytest.mark.parametrize("name", ["icarl", "ucir", "podnet", "pnn", "separate", "der_expand", "derpp"])
def test_a_loss_of_hard_labels_refuses_mixup(name):
    with pytest.raises(
        ValueError, match=r"training\.mixup: the loss of \w+ takes each image's label for the whole image"
    ):
        started(name)


def test_a_suite_with_mixup_for_such_a_method_is_refused_before_anything_runs(tmp_path):
    suite = suite_file(tmp_path, "{icarl: {buffer_size: 20}, softmax: {method: icarl, buffer_size: 20, objective: ce}}")
    suite.write_text(
        suite.read_text() + "overrides:\n  - {methods: ['*'], training: {mixup: {alpha: 0.8}}, why: DyTox+}\n"
    )
    with pytest.raises(SettingsError) as error:
        make_grid(load_suite(str(suite)))
    (line,) = error.value.problems
    assert "icarl" in line
    assert "training.mixup" in line
    assert "softmax" not in line


def test_classes_of_a_replayed_image_s_partner_stay_active():
    """Task-incremental: the two of a pair may be of different tasks."""
    scenario = small_scenario("task")
    er = METHODS["er"](buffer_size=30).start(scenario, model_for(METHODS["er"]), MIXED, seed=0)
    own_join, shares = er.join, []

    def join(*batches):
        joined = own_join(*batches)
        shares.append((joined.targets * joined.active.mask_of(joined.targets)).sum(1))
        return joined

    er.join = join
    for task in scenario.tasks:
        train_task(er, scenario, task)
    torch.testing.assert_close(torch.cat(shares), torch.ones(sum(map(len, shares))))


def test_the_loop_s_batches_are_mixed_the_same_with_and_without_replay():
    seen = {}
    for name in ("finetune", "er"):
        method, scenario = started(name)
        own_observe, images = method.observe, seen.setdefault(name, [])

        def observe(batch, *rest, own_observe=own_observe, images=images):
            images.append(batch.x.clone())
            return own_observe(batch, *rest)

        method.observe = observe
        train_task(method, scenario, scenario.tasks[0])
    assert len(seen["er"]) == 4
    assert all(torch.equal(a, b) for a, b in zip(seen["finetune"], seen["er"], strict=True))
