"""Recipes of DyTox's and DNE's releases as settings: orders, ranks, image files, a ResNet-18 as encoder."""

import pytest
import torch
from torch import nn

from benchmarks.cell.fit import fit
from benchmarks.cell.run import run_cell, task_view, train_task
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from methods import DyTox, Joint
from models import ExpertTransformerSettings, TaskTransformerSettings
from models.attention import GatedPositionalAttention
from tests.conftest import SMALL_TRANSFORMER
from tests.methods.growing import RECIPE, SCENARIO, learn, stages, started
from tests.scenarios.trees import photo_tree

torch.set_num_threads(1)
RELEASE = {"finetune_order": "stored", "ranks": 2, "finetune_epochs": 1}


def phases_of_second_task(**settings) -> dict:
    method = started(DyTox, **settings)
    learn(method, 0)
    found = {phase.name: phase for when, phase in stages(method, 1) if when == "before"}
    return found | {"method": method}


def test_fine_tuning_in_the_order_of_choice_leaves_out_the_newest():
    """Of 24 exemplars, each on both ranks, 4 never come: a step is of 2 x 10 images, and the rest fills none."""
    for budget, steps, left_out in ((12, 1, {10, 11}), (24, 2, {20, 21, 22, 23})):
        found = phases_of_second_task(**RELEASE, buffer_size=budget)
        phase = found["finetune"]
        assert phase.steps_per_epoch == steps
        assert phase.recipe.drop_last
        rows = phase.sampling.rows(len(phase.data), torch.Generator())
        assert rows.tolist() == [k for k in range(budget) for _ in range(2)]
        seen = set(rows[: steps * phase.recipe.batch_size].tolist())
        assert set(range(budget)) - seen == left_out
        newest = phase.data.labels[sorted(left_out)].tolist()
        assert newest == [3] * len(left_out)


def test_fewer_exemplars_than_a_batch_are_not_left_out():
    phase = phases_of_second_task(finetune_order="stored", buffer_size=10)["finetune"]
    assert (phase.steps_per_epoch, phase.recipe.drop_last) == (1, False)


@pytest.mark.parametrize(("memory", "old"), [("distributed", 6), ("each", 12), ("shards", 12), ("global", 12)])
def test_what_a_pass_of_the_main_phase_shows_of_the_old_classes(memory, old):
    """Of a memory of 12 on two ranks, each trains on what it chose itself."""
    found = phases_of_second_task(memory=memory, ranks=2, buffer_size=12)
    phase = found["train"]
    rows = phase.sampling.rows(len(phase.data), torch.Generator().manual_seed(0))
    assert int((phase.data.labels[rows] < 2).sum()) == old
    said = found["method"].diagnostics()
    assert ("exemplars.overlap" in said) == (memory != "global")
    assert 0 <= said.get("exemplars.overlap", 0) <= 1


def test_ranks_herd_by_views_of_their_own_from_all_data():
    from methods.core.augmentation import Flip

    recipe = RECIPE.model_copy(update={"augmentation": (Flip(op="flip"),)})
    for herding, alike in (("augmented", False), ("plain", True)):
        method = started(DyTox, recipe, memory="distributed", ranks=2, herding=herding, buffer_size=12)
        learn(method, 0)
        one, other = (part.examples().images for part in method.buffer.parts)
        assert torch.equal(one, other) == alike, "by the images as they are, ranks choose alike"


SUITE = """
title: photographs
seeds: 1
scenarios:
  photos: {{stream: split, data: "folder:photos", setting: class, tasks: 2,
           transform: {{image_size: 16, auto_augment: rand-m9-mstd0.5-inc1}}}}
methods:
  dytox: {{model: {{backbone: task-transformer, dim: 24, heads: 3, depth: 1, patch: 8}}, buffer_size: 8, finetune_epochs: 1, {more}}}
training: {{epochs: 1, batch_size: 6, repeated_augmentation: 3, optimizer: {{name: adamw, lr: 0.002, momentum: 0.0}}}}
"""


@pytest.mark.parametrize("memory", ["distributed", "shards", "each"])
def test_memories_of_ranks_hold_image_files(memory, tmp_path, monkeypatch):
    photo_tree(tmp_path / "photos")
    path = tmp_path / "photos.yaml"
    path.write_text(SUITE.format(more=f"memory: {memory}, ranks: 2, finetune_order: stored"))
    (cell,) = make_grid(load_suite(str(path))).cells
    records = []
    for workers in ("0", "2"):
        monkeypatch.setenv("DATA_WORKERS", workers)
        records.append(run_cell(cell, str(tmp_path)))
    assert [r.error for r in records] == [None, None]
    assert records[0].comparable() == records[1].comparable()
    assert 1 <= records[0].diagnostics[-1]["exemplars"] <= (16 if memory == "each" else 8)


def test_exemplars_of_image_files_are_herded_on_augmented_images_too(tmp_path):
    photo_tree(tmp_path / "photos", ("a", "b"))
    path = tmp_path / "photos.yaml"
    path.write_text(SUITE.format(more="herding: augmented").replace("tasks: 2", "tasks: 1"))
    (cell,) = make_grid(load_suite(str(path))).cells
    scenario = cell.scenario.build(0, tmp_path, "photos")
    seen: dict[str, list[torch.Tensor]] = {}
    for herding in ("augmented", "plain"):
        method = DyTox(buffer_size=8, herding=herding).start(scenario, cell.model, cell.training)
        view = task_view(scenario, scenario.tasks[0], False)
        method.enter(view)
        images: list[torch.Tensor] = seen.setdefault(herding, [])
        original = method.network.embed
        method.network.embed = lambda x, o=original, s=images: (s.append(x.clone()), o(x))[1]
        for phase in method.phases(view):
            fit(method, phase)
    as_tested = method.normalise(view.train.images[torch.arange(len(view.train))])
    assert torch.equal(seen["plain"][0], as_tested)
    assert not torch.equal(seen["augmented"][0], as_tested)


# ---- networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0.125, 0.25])
def test_a_resnet_s_running_statistics_are_frozen_with_the_encoder(width):
    method = started(DyTox, encoder="resnet18", encoder_width=width)
    learn(method, 0)
    for when, phase in stages(method, 1):
        if phase is None:
            continue
        state = {k: v.clone() for k, v in method.network.encoder.state_dict().items()}
        if when == "before":
            before = state
        else:
            same = all(torch.equal(state[k], before[k]) for k in state)
            assert same == (phase.name == "finetune")
    assert method.predict(torch.zeros(2, 1, 8, 8)).shape == (2, 4)


def test_a_resnet_18_as_encoder_is_the_release_s_but_for_its_blocks_relu():
    network = TaskTransformerSettings(encoder="resnet18", patch=8, dim=504).build((3, 32, 32))
    patches = network.encoder.patches(torch.zeros(2, 3, 32, 32))
    assert patches.shape == (2, 16, 504)
    convolutions = [m for m in network.encoder.modules() if isinstance(m, nn.Conv2d)]
    assert {(m.in_channels, m.out_channels) for m in convolutions} >= {(256, 256), (256, 384), (384, 504)}
    assert len(network.encoder.blocks) == 0
    with pytest.raises(ValueError, match="patches of 8 pixels, or 4, not 16"):
        TaskTransformerSettings(encoder="resnet18", patch=16).build((3, 32, 32))
    with pytest.raises(ValueError, match="encoder_width belongs to encoder resnet18, not to gpsa"):
        TaskTransformerSettings(encoder_width=0.5)


@pytest.mark.parametrize("start", ["local", "uniform"])
def test_new_experts_start_locally_or_as_the_release_s(start):
    network = ExpertTransformerSettings(dim=32, heads=4, depth=1, new_expert_attention=start).build((1, 16, 16))
    network.expand(2)
    network.expand(4)
    shares = []
    for expert in network.experts:
        attention = expert.encoder.blocks[0].attention
        assert isinstance(attention, GatedPositionalAttention)
        assert torch.equal(attention.value.weight, torch.eye(len(attention.value.weight)))
        positional = attention.position(attention.offsets).softmax(dim=1)
        shares.append(float(positional.detach().amax(dim=1).mean()))  # of the patch that is looked at most
    assert shares[0] > 0.2
    assert shares[1] > 0.3 if start == "local" else shares[1] < 2 / 16  # of 16 patches, nearly alike
    assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 4)


def test_joint_training_is_fine_tuned_on_exemplars_where_asked():
    model = TaskTransformerSettings(**SMALL_TRANSFORMER)
    method = Joint(exemplar_epochs=2, exemplars=12, exemplar_ranks=2, criterion="bce", rows="last")
    method.start(SCENARIO, model, RECIPE)
    for task in SCENARIO.tasks[:-1]:
        train_task(method, SCENARIO, task)
    view = task_view(SCENARIO, SCENARIO.tasks[-1], True)
    method.enter(view)
    names = []
    for phase in method.phases(view):
        names.append(phase.name)
        encoder = [p.clone() for p in method.network.encoder.parameters()]
        fit(method, phase)
        if phase.name == "finetune":
            assert phase.data.labels.bincount().tolist() == [2] * 6
            assert phase.recipe.optimizer.lr == pytest.approx(0.1 * RECIPE.optimizer.lr)
            assert all(torch.equal(a, b) for a, b in zip(encoder, method.network.encoder.parameters(), strict=True))
    assert names == ["train", "finetune"]
    assert all(p.requires_grad for p in method.network.parameters())
    with pytest.raises(ValueError, match="exemplar_epochs fine-tunes a task-transformer, not mlp"):
        Joint(exemplar_epochs=1).start(SCENARIO)
