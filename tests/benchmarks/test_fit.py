"""The loop: augmentation, mixing, number formats and schedules on real digits."""

import json

import pytest
import torch

from benchmarks.cell.evaluate import evaluate
from benchmarks.cell.fit import fit
from benchmarks.cell.run import run_cell, task_view, train_task
from benchmarks.records.store import Scan
from benchmarks.report.publish import publish_suite
from methods import METHODS, Recipe
from methods.core.precision import autocast
from models import ResNetSettings
from tests.benchmarks.helpers import cells, grid
from tests.conftest import SMALL_MODEL, small_split

SPLIT = {"tasks": 2, "class_order": (0, 1, 2, 3)}


def recipe(**settings) -> Recipe:
    return Recipe.model_validate_json(json.dumps({"epochs": 2, "batch_size": 10} | settings))


def watched(recipe: Recipe, name: str = "finetune", setting: str = "class", model=SMALL_MODEL, **settings):
    """The method after two tasks, and the batches of the loop."""
    scenario = small_split(setting, **SPLIT)
    method = METHODS[name](**settings).start(scenario, model, recipe, seed=1)
    batches, observe = [], method.observe
    method.observe = lambda batch, *rest: (batches.append(batch), observe(batch, *rest))[1]
    for task in scenario.tasks:
        train_task(method, scenario, task)
    return method, batches, scenario


CROP = [{"op": "crop", "padding": 2}, {"op": "flip"}]


def test_augmentation_changes_pixels_and_neither_order_nor_what_is_stored():
    _, plain, _ = watched(recipe())
    method, augmented, _ = watched(recipe(augmentation=CROP))
    assert all(torch.equal(a.y, b.y) for a, b in zip(plain, augmented, strict=True))
    for a, b in zip(plain, augmented, strict=True):
        assert torch.equal(a.examples.images, b.examples.images)
        assert torch.equal(a.x, method.normalise(a.examples.images))
        assert not torch.equal(a.x, b.x)
    # each image its own draw, and another one every time it comes
    assert not torch.equal(augmented[0].x.sum((1, 2, 3)), augmented[4].x.sum((1, 2, 3)))


def test_methods_that_replay_see_the_loops_images_as_finetune_does():
    _, alone, _ = watched(recipe(augmentation=CROP))
    er, beside, _ = watched(recipe(augmentation=CROP), "er", buffer_size=10)
    assert all(torch.equal(a.x, b.x) for a, b in zip(alone, beside, strict=True))
    assert er.buffer.examples.images.max() <= 16


def test_nothing_is_augmented_outside_a_phase_or_in_one_that_says_no():
    scenario = small_split("class", **SPLIT)
    method = METHODS["finetune"]().start(scenario, SMALL_MODEL, recipe(augmentation=CROP))
    method.enter(task_view(scenario, scenario.tasks[0], False))
    data = scenario.tasks[0].train.examples()
    seen = []
    method.loss = lambda batch: (seen.append(method.batch(batch.examples)), type(method).loss(method, batch))[1]
    fit(method, method.phase(data, epochs=1, augment=False))
    assert all(torch.equal(b.x, method.normalise(b.examples.images)) for b in seen)
    seen.clear()
    fit(method, method.phase(data, epochs=1))
    assert not any(torch.equal(b.x, method.normalise(b.examples.images)) for b in seen)
    assert torch.equal(method.batch(data).x, method.normalise(data.images))


def test_colours_need_pixels_up_to_255():
    with pytest.raises(ValueError, match=r"jitter needs pixels from 0 to 255, these end at 16"):
        METHODS["finetune"]().start(small_split("class"), SMALL_MODEL, recipe(augmentation="cifar-jitter"))


@pytest.mark.parametrize("setting", ["class", "task", "domain"])
def test_mixed_batches_have_soft_targets_over_the_active_classes(setting):
    method, batches, _ = watched(recipe(mixup={"alpha": 1.0}, label_smoothing=0.1), "er", setting, buffer_size=10)
    for batch in batches:
        assert torch.allclose(batch.targets.sum(1), torch.ones(len(batch)), atol=1e-5)
        assert not torch.equal(batch.x, method.normalise(batch.examples.images))
        assert not batch.targets[~batch.active.mask_of(batch.targets)].any()
    _, never, _ = watched(recipe(mixup={"alpha": 1.0, "probability": 0.0}))
    assert all(batch.targets is None for batch in never)


def test_adjust_gradients_sees_unscaled_gradients_and_the_clip_comes_after():
    seen = {}
    for form in ("fp32", "fp16"):
        scenario = small_split("class", **SPLIT)
        r = recipe(epochs=1, precision=form, clip_gradient={"value": 1e-3})
        method = METHODS["finetune"]().start(scenario, SMALL_MODEL, r)
        norms, largest = [], []

        def adjust(batch, method=method, norms=norms):
            norms.append(float(torch.cat([p.grad.flatten() for p in method.network.parameters()]).norm()))

        def after(batch, method=method, largest=largest):
            largest.append(max(float(p.grad.abs().max()) for p in method.network.parameters()))

        method.adjust_gradients, method.after_step = adjust, after
        train_task(method, scenario, scenario.tasks[0])
        seen[form] = norms[0]
        assert max(largest) <= 1e-3 + 1e-9
    assert seen["fp16"] == pytest.approx(seen["fp32"], rel=0.02)


@pytest.mark.parametrize("form", ["bf16", "fp16"])
def test_half_precision_learns_as_well_and_logits_are_float32(form):
    half, _, scenario = watched(recipe(epochs=5, precision=form, optimizer={"lr": 0.05, "momentum": 0.9}))
    x = scenario.normalise(scenario.tasks[1].test.kept.images)
    with half.precision():
        assert half.network.backbone(x).dtype != torch.float32
        assert half.network(x).dtype == torch.float32
    correct, total = evaluate(half, scenario)[1]
    assert correct / total > 0.9


def test_the_record_names_the_number_format():
    (cell,) = cells("finetune", changes=["training.precision=bf16"])
    assert run_cell(cell).environment["precision"] == "bf16"
    assert autocast("fp32", torch.device("cpu")).__class__.__name__ == "nullcontext"


def test_channels_last_is_the_same_arithmetic():
    model = ResNetSettings(backbone="resnet32", width=0.5)  # its narrowest strided 1x1 convolution has 8 channels
    # sums in another order round otherwise, which a network with batch norm and ReLU blows up step by step: so steps are
    # small beside what they are compared with, a change of about 0.001 in each weight
    two = {"epochs": None, "steps": 2, "optimizer": {"name": "sgd", "lr": 0.001}}
    plain, batches, _ = watched(recipe(**two), model=model)
    other, moved, _ = watched(recipe(**two, channels_last=True), model=model)
    order = torch.channels_last if other.memory_format == "channels last" else torch.contiguous_format
    assert moved[0].x.is_contiguous(memory_format=order)
    assert torch.equal(moved[0].x, batches[0].x)
    for p, q in zip(plain.network.parameters(), other.network.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-4)


def test_on_a_processor_narrow_strided_convolutions_stay_contiguous():
    """torch's backward pass of theirs writes past its memory where there is no AVX-512."""
    model = ResNetSettings(backbone="resnet32", width=0.125)
    with pytest.warns(UserWarning, match="has 2 input channels, fewer than 8") as said:
        method, batches, _ = watched(recipe(epochs=1, channels_last=True), model=model)
    assert len(said) == 1
    assert batches[0].x.is_contiguous()
    assert all(p.is_contiguous() for p in method.network.parameters())
    (cell,) = cells("finetune", changes=["training.channels_last=true", "model.backbone=resnet32", "model.width=0.125"])
    with pytest.warns(UserWarning, match="contiguous memory instead"):
        record = run_cell(cell)
    assert record.status == "done"
    assert record.environment["memory_format"].startswith("contiguous: a 1x1 convolution with stride 2 has 2 input")


def test_a_smoke_test_is_not_published(tmp_path):
    from benchmarks.request.errors import SettingsError

    made = grid("finetune")
    smoke = type(made)(made.suite.model_copy(update={"kind": "smoke"}), made.cells, made.impossible)
    with pytest.raises(SettingsError, match="smoke test, not a result"):
        publish_suite(smoke, Scan({}, []), tmp_path)
