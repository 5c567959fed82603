"""What methods that adapt a pretrained transformer claim: what stays as it was, what is orthogonal, what is made up."""

from __future__ import annotations

import pytest
import torch

from benchmarks.cell.run import task_view, train_task
from methods import METHODS, OptimizerSettings, Recipe
from methods.ease import SubspaceHead
from methods.inflora import input_moments
from methods.slca import ClassGaussians, SlowBackbone
from models import MLPSettings
from models.low_rank import low_rank_layers
from scenarios import Split
from tests.conftest import SMALL_VIT, small_split
from tests.methods.helpers import enter, learn, snapshot, unchanged

FAST = Recipe(epochs=2, batch_size=20, optimizer=OptimizerSettings(lr=0.1, momentum=0.9, weight_decay=5e-4))
FROZEN = SMALL_VIT.model_copy(update={"frozen": True})


def few(tasks: int = 3, **changes):
    return small_split("class", tasks=tasks, class_order=tuple(range(2 * tasks)), **changes)


def backbone_of(method) -> dict[str, torch.Tensor]:
    """Parameters that came with the backbone, by value."""
    return {n: p.detach().clone() for n, p in method.network.backbone.named_parameters() if not p.requires_grad}


@pytest.mark.parametrize("name", ["aper", "ranpac", "ease", "inflora", "sd-lora"])
@pytest.mark.parametrize("model", [SMALL_VIT, FROZEN], ids=["open", "frozen"])
def test_the_backbone_is_bit_identical_after_training(name, model):
    settings = {"first_session": "adapter", "random_features": 50} if name == "ranpac" else {}
    scenario, method = few(), METHODS[name](**settings)
    method.start(scenario, model, FAST, seed=0)
    before = list(backbone_of(method).values())
    assert len(before) > 50
    for task in scenario.tasks:
        train_task(method, scenario, task)
    after = [p.detach() for p in method.network.parameters()]
    assert all(any(torch.equal(b, a) for a in after if a.shape == b.shape) for b in before)


@pytest.mark.parametrize("tuning", ["adapter", "ssf", "vpt-deep", "vpt-shallow", "finetune"])
def test_aper_trains_in_the_first_task_alone(tuning):
    scenario = few()
    method = METHODS["aper"](tuning=tuning)
    learn(method, scenario, 1, FAST, SMALL_VIT)
    assert method.parameters_report()["trainable"] > 0
    before, width = snapshot(method.network.backbone), method.network.head.features
    plain, tuned = (part(torch.rand(2, 1, 8, 8)) for part in method.network.backbone.backbone.parts)
    assert width == plain.shape[1] + tuned.shape[1]
    for task in scenario.tasks[1:]:
        train_task(method, scenario, task)
        assert method.parameters_report()["trainable"] == 0
    assert unchanged(method.network.backbone, before)


def test_fine_tuning_a_frozen_backbone_is_refused():
    with pytest.raises(ValueError, match=r"model\.frozen: true forbids; use frozen: false"):
        METHODS["aper"](tuning="finetune").start(few(), FROZEN, FAST)


def test_ranpac_tunes_nothing_unless_told_and_reads_no_pixels_then():
    scenario, method = few(), METHODS["ranpac"](random_features=50)
    assert not method.reads_pixels
    assert METHODS["ranpac"](first_session="ssf").reads_pixels
    method.start(scenario, MLPSettings(hidden=(16,)), FAST, seed=0)
    assert not list(method.phases(task_view(scenario, scenario.tasks[0], False)))


def test_ease_fixes_the_adapters_of_earlier_tasks():
    scenario, method = few(), METHODS["ease"](bottleneck=4)
    learn(method, scenario, 2, FAST, SMALL_VIT)
    before = [snapshot(block.adapters) for block in method.network.backbone.blocks]
    train_task(method, scenario, scenario.tasks[2])
    for block, old in zip(method.network.backbone.blocks, before, strict=True):
        assert len(block.adapters) == 3
        now = block.adapters.state_dict()
        assert all(torch.equal(now[n], value) for n, value in old.items())
        assert block.adapters[2].up.weight.any()


def test_ease_makes_up_the_mean_of_an_old_class_from_the_new_classes_like_it():
    """In two subspaces: the old class points where the first new one does, so its mean there leans to that one's."""
    head = SubspaceHead(2, 3, alpha=0.1, beta=None, anew=True)
    head.add(torch.tensor([[[10.0, 0.0]]]), torch.tensor([0]))
    new = torch.tensor([[[3.0, 0.0], [1.0, 0.0]], [[-3.0, 0.0], [0.0, 1.0]]])
    head.add(new, torch.tensor([1, 2]))
    share = torch.tensor([1.0, -1.0], dtype=torch.float64).softmax(0)
    assert torch.allclose(head.means[0, 1], share)  # a convex mixture of the new means
    assert torch.equal(head.means[1:], new.double())  # those that are known are as they were
    assert head.tasks.tolist() == [0, 1, 1]


def test_inflora_s_updates_change_nothing_for_inputs_of_old_tasks():
    """The fixed matrices are orthogonal to all that the memory keeps, and so is every update made with them."""
    scenario, method = few(), METHODS["inflora"](rank=3, energy=0.9)
    learn(method, scenario, 1, FAST, SMALL_VIT)
    moments = input_moments(method, task_view(scenario, scenario.tasks[0], False).train)
    kept = [basis.clone() for basis in method.memory.bases]
    assert not any(method.memory.outside)
    assert all(torch.allclose(b.T @ b, torch.eye(b.shape[1], dtype=b.dtype), atol=1e-9) for b in kept)
    enter(method, scenario, 1)
    for layer, basis, moment in zip(method.layers, kept, moments, strict=True):
        down = layer.downs["key"][-1].double()
        assert torch.equal(layer.downs["key"][-1], layer.downs["value"][-1])
        assert not down.requires_grad
        assert torch.allclose(3 * down @ down.T, torch.eye(3, dtype=torch.float64), atol=1e-5)
        assert float((down @ basis).abs().max()) < 1e-6
        inside = basis @ (basis.T @ moment)
        assert float(((moment - inside) ** 2).sum() / (moment**2).sum()) < 0.35  # what is kept is most of it


def test_inflora_has_no_direction_where_none_is_left():
    from methods.inflora import directions

    moment = torch.eye(4, dtype=torch.float64)
    free = torch.diag(torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64))
    rows = directions(free, moment, 2)
    assert torch.equal(rows[1], torch.zeros(4, dtype=torch.float64))
    assert rows[0].abs().tolist() == pytest.approx([0, 0, 0, 3**-0.5])


def test_updates_of_earlier_tasks_are_fixed_and_sd_lora_starts_its_magnitudes_anew():
    for name in ("inflora", "sd-lora"):
        scenario, method = few(), METHODS[name](rank=2)
        learn(method, scenario, 1, FAST, SMALL_VIT)
        layers = low_rank_layers(method.network)
        old = [
            (layer.downs[p][0].detach().clone(), layer.ups[p][0].detach().clone())
            for layer in layers
            for p in layer.ups
        ]
        enter(method, scenario, 1)
        if name == "sd-lora":
            assert torch.equal(layers[0].magnitudes, torch.full((21,), 0.8))
            assert all(layer.magnitudes is layers[0].magnitudes for layer in layers)
            assert method.diagnostics().keys() == {"magnitude 1", "magnitude 2"}
        train_task(method, scenario, scenario.tasks[1])
        now = [(layer.downs[p][0], layer.ups[p][0]) for layer in layers for p in layer.ups]
        assert any(up.any() for _, up in now)
        assert all(
            torch.equal(a, b) for pair, others in zip(old, now, strict=True) for a, b in zip(pair, others, strict=True)
        )


def test_slca_s_backbone_learns_a_hundred_times_slower():
    head, body = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = SlowBackbone(lr=0.5, momentum=0.9, rate=0.01).of([body]).build([body, head])
    assert [(g["lr"], len(g["params"])) for g in optimizer.param_groups] == [(0.5, 1), (0.005, 1)]
    for parameter in (head, body):
        parameter.grad = torch.ones(2)
    optimizer.step()
    assert torch.allclose(head, torch.full((2,), 0.5))
    assert torch.allclose(body, torch.full((2,), 0.995))


def test_slca_shrinks_means_by_the_class_s_own_task_also_after_a_larger_first_one():
    """The release takes class // (classes of the current task) for the task: 4 // 2 = 2 for a class of task 1."""
    statistics = ClassGaussians()
    features = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6).repeat_interleave(10)
    statistics.add(features[:40], labels[:40], 0)
    statistics.add(features[40:], labels[40:], 1)
    means = torch.stack([features[labels == c].mean(0) for c in range(6)])
    expected = means * torch.tensor([0.95] * 4 + [1.0] * 2)[:, None]
    assert torch.allclose(statistics.shrunk(), expected)
    scenario = Split(data="digits", setting="class", tasks=3, first_task_classes=6, samples_per_task=60).build(0)
    method = learn(METHODS["slca"](), scenario, 3, FAST, MLPSettings(hidden=(16,)))
    assert method.statistics.tasks.tolist() == [0] * 6 + [1] * 2 + [2] * 2
    assert method.network.head.sizes == [6, 2, 2]


def test_slca_aligns_the_head_after_a_task_and_takes_it_back_for_the_next():
    scenario, method = few(), METHODS["slca"](alignment_epochs=3)
    learn(method, scenario, 1, FAST, MLPSettings(hidden=(16,)))
    first = [v.clone() for v in method.unaligned.values]
    assert all(
        torch.equal(v, p) for v, p in zip(first, method.network.head.parameters(), strict=True)
    )  # no alignment yet
    train_task(method, scenario, scenario.tasks[1])
    kept = method.unaligned.values
    assert all(torch.equal(v, p) for v, p in zip(first, kept, strict=False))  # what task 0 learned was fixed in task 1
    assert not any(torch.equal(v, p) for v, p in zip(kept, method.network.head.parameters(), strict=True))
    enter(method, scenario, 2)
    assert all(torch.equal(v, p) for v, p in zip(kept, method.network.head.parameters(), strict=False))
