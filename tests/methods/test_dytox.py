"""DyTox: what each phase trains, its loss, its teacher, and its variants."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cell.run import train_task
from methods import DyTox
from methods.dne import DNE
from methods.parts import sam
from models import model_settings
from scenarios import layout_for
from scenarios.augment import Flip
from scenarios.mixup import Mixup
from tests.conftest import SMALL_TRANSFORMER, small_split
from tests.methods.growing import RECIPE, SCENARIO, SMALL, learn, stages, started, values

torch.set_num_threads(1)


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def ready_for_second_task(**settings) -> DyTox:
    """After the first task, having entered the second."""
    method = started(DyTox, **settings)
    learn(method, 0)
    next(stages(method, 1))
    return method


def second_batch(method: DyTox):
    return method.batch(SCENARIO.tasks[1].train.examples()[torch.arange(12)])


def test_the_main_phase_keeps_old_tokens_and_heads_and_fine_tuning_the_encoder():
    method = started(DyTox)
    learn(method, 0)
    seen = []
    for when, phase in stages(method, 1):
        if phase is None:
            continue
        seen.append((when, phase.name))
        fixed = ("old_tokens", "old_heads") if phase.name == "train" else ("encoder", "divergence")
        free = ("encoder", "new_tokens", "new_head") if phase.name == "train" else ("old_heads", "decoder", "new_head")
        if when == "before":
            before, moving = values(method, *fixed), values(method, *free)
        else:
            assert same(values(method, *fixed), before)
            assert not any(torch.equal(a, b) for a, b in zip(values(method, *free), moving, strict=True) if a.dim() > 1)
    assert seen == [("before", "train"), ("after", "train"), ("before", "finetune"), ("after", "finetune")]
    assert method.network.divergence is None
    assert method._teacher is None


def test_fine_tuning_is_balanced_slow_and_without_a_schedule():
    recipe = RECIPE.model_copy(update={"schedule": "cosine"})
    method = started(DyTox, recipe, finetune_epochs=3, buffer_size=12)
    learn(method, 0)
    phases = [phase for when, phase in stages(method, 1) if when == "before"]
    assert phases[1].data.labels.bincount().tolist() == [3, 3, 3, 3]
    assert (phases[1].recipe.epochs, phases[1].recipe.schedule) == (3, "constant")
    assert phases[1].recipe.optimizer.lr == pytest.approx(0.1 * phases[0].recipe.optimizer.lr)
    assert phases[0].recipe.schedule == "cosine"
    # new data and what was kept of the old: 6 of each of its classes
    assert phases[0].data.labels.bincount().tolist()[:2] == [6, 6]


def test_the_first_task_is_classification_alone_and_is_not_fine_tuned():
    method = started(DyTox)
    assert [phase.name for when, phase in stages(method, 0) if when == "before"] == ["train"]
    method = started(DyTox)
    next(stages(method, 0))
    method.network.eval()
    batch = method.batch(SCENARIO.tasks[0].train.examples())
    targets = F.one_hot(batch.y, 2).float()
    torch.testing.assert_close(method.loss(batch), F.binary_cross_entropy_with_logits(method.network(batch.x), targets))


@pytest.mark.parametrize("criterion", ["bce", "ce"])
@pytest.mark.parametrize("mean", ["columns", "images"])
def test_the_loss_is_the_weighted_sum_of_the_paper(criterion, mean):
    method = ready_for_second_task(criterion=criterion, distillation_mean=mean)
    old_network = method._teacher
    method.network.eval()
    batch = second_batch(method)
    parts = method.network.forward_parts(batch.x)
    old = old_network(batch.x)
    assert old.shape == (12, 2)
    assert not old.requires_grad
    p, q = F.softmax(parts.logits[:, :2], dim=1), F.softmax(old, dim=1)
    distillation = (q * (q / p).log()).sum() / (12 * 2 if mean == "columns" else 12)
    divergence_target = torch.where(batch.y < 2, 0, batch.y - 1)
    if criterion == "ce":
        new = F.cross_entropy(parts.logits, batch.y)
        divergence = F.cross_entropy(parts.divergence, divergence_target)
    else:
        new = F.binary_cross_entropy_with_logits(parts.logits, F.one_hot(batch.y, 4).float())
        divergence = F.binary_cross_entropy_with_logits(parts.divergence, F.one_hot(divergence_target, 3).float())
    torch.testing.assert_close(method.loss(batch), 0.5 * new + 0.5 * distillation + 0.1 * divergence)


def test_the_teacher_is_the_network_before_its_expansion_and_stays():
    method = started(DyTox)
    learn(method, 0)
    x = method.normalise(SCENARIO.tasks[0].train.examples().images)
    method.network.eval()
    before = method.network(x)
    for when, phase in stages(method, 1):
        if phase is not None and phase.name == "train":
            assert torch.equal(method._teacher(x), before), when


def test_mixed_images_have_mixed_targets_in_every_part():
    method = ready_for_second_task()
    batch = second_batch(method)
    plain = method.loss(batch)
    batch.targets = F.one_hot(batch.y, 4).float()
    method.network.eval()
    hard = method.loss(batch)
    batch.targets = torch.full_like(batch.targets, 0.25)
    assert not torch.allclose(method.loss(batch), hard)
    batch.targets = None
    assert torch.equal(method.loss(batch), hard)
    assert torch.isfinite(plain)


def test_dytox_plus_runs_on_mixed_images():
    recipe = RECIPE.model_copy(update={"label_smoothing": 0.1, "mixup": Mixup(alpha=0.8)})
    method = started(DyTox, recipe, sam=3.0)
    for task in (0, 1):
        learn(method, task)
    assert all(p.isfinite().all() for p in method.network.parameters())


def test_sharp_steps_begin_with_the_second_task_and_take_the_gradient_uphill(monkeypatch):
    calls = []
    original = sam.ascend
    monkeypatch.setattr(
        sam, "ascend", lambda p, rho, eta, *how: calls.append((rho, eta)) or original(p, rho, eta, *how)
    )
    method = started(DyTox, sam=3.0)
    learn(method, 0)
    assert calls == []
    phases = {phase.name: phase for when, phase in stages(method, 1) if when == "before"}
    assert calls == [(3.0, 0.0)] * phases["train"].total_steps  # and none in fine-tuning

    # one step of plain gradient descent: w - lr g(w + e), and not w - lr g(w)
    steps = {}
    for rho in (0.0, 3.0):
        method = ready_for_second_task(sam=rho, drop_path=0.0)
        batch = second_batch(method)
        optimizer = torch.optim.SGD([p for p in method.network.parameters() if p.requires_grad], lr=0.1)
        phase = method.phase(SCENARIO.tasks[1].train.examples())
        weight = method.network.decoder.mixer.first.weight
        start = weight.detach().clone()
        method.observe(batch, optimizer, phase)
        steps[rho] = (weight - start).detach()
    assert not torch.allclose(steps[0.0], steps[3.0])


@pytest.mark.parametrize("encoder", ["gpsa", "plain", "conv-stem", "conv-trunk"])
def test_every_encoder(encoder):
    method = started(DyTox, encoder=encoder)
    learn(method, 0)
    learn(method, 1)
    assert method.predict(torch.zeros(2, 1, 8, 8)).shape == (2, 4)


def test_exemplars_are_herded_on_embeddings_of_augmented_images_or_of_plain_ones():
    recipe = RECIPE.model_copy(update={"augmentation": (Flip(),)})
    kept = {}
    for herding in ("augmented", "plain"):
        method = started(DyTox, recipe, herding=herding)
        learn(method, 0)
        kept[herding] = method.buffer.examples().images
        data = SCENARIO.tasks[0].train.examples()
        stored = {image.numpy().tobytes() for image in data.images}
        assert all(image.numpy().tobytes() in stored for image in kept[herding])  # images are kept as they were
    assert not torch.equal(kept["augmented"], kept["plain"])


def test_the_learning_rate_grows_with_the_batch_where_the_recipe_says_so():
    recipe = RECIPE.model_copy(update={"lr_batch": 512, "batch_size": 128})
    method = started(DyTox, recipe)
    learn(method, 0)
    main, tuning = [phase for when, phase in stages(method, 1) if when == "before"]
    assert main.recipe.optimizer.lr == pytest.approx(2e-3 / 4)
    assert tuning.recipe.optimizer.lr == pytest.approx(2e-4 / 4)


def test_tasks_that_share_their_labels_are_refused_with_the_reason():
    assert "share" in str(DyTox.incompatibility(layout_for("domain", [2, 2])))
    assert DyTox.incompatibility(layout_for("class", [2, 2])) is None


@pytest.mark.parametrize("cls", [DyTox, DNE])
def test_classes_may_be_active_before_they_have_a_head(cls):
    """active_outputs "all": there is nothing old of columns that have yet to be made."""
    stream = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5), active_outputs="all")
    model = model_settings({"backbone": cls.backbones[0], **SMALL_TRANSFORMER})
    method = cls.from_settings(SMALL).start(stream, model, RECIPE)
    for task in stream.tasks:
        train_task(method, stream, task)
    with torch.no_grad():
        assert method.predict(stream.normalise(stream.tasks[0].test.kept.images)).isfinite().all()
