"""DER (expandable) and FOSTER: what is frozen, what they grow to, and their losses."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.cell.fit import fit
from methods.der_expand import DERExpand
from methods.foster import FOSTER, balanced_distillation, effective_weights
from metrics.flops import count_flops
from models import LinearHead, MultiHead, Network, ResNetSettings, build_backbone
from models.parallel import ParallelBackbones, fresh_head, widened_head
from tests.conftest import SMALL_MODEL, small_split
from tests.methods.helpers import enter, learn, snapshot, unchanged


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_old_backbones_stay_bit_for_bit_and_the_new_one_starts_as_a_copy():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = learn(DERExpand(buffer_size=12, finetune_epochs=1), scenario, 1)
    first = copy.deepcopy(method.network.backbone.parts[0])
    enter(method, scenario, 1)
    old, new = method.network.backbone.parts
    assert same(new, first)
    for index, phase in enumerate(method.phases(method.task)):
        newest = snapshot(new)
        fit(method, phase, index=index)
        assert same(old, first), "running statistics included"
        assert unchanged(new, newest) == (phase.name == "finetune")
    assert not any(p.requires_grad for p in old.parameters())
    assert method.network.head.linear.weight.shape == (4, 2 * 32)
    assert method.network.head.linear.bias is None


def test_fine_tuning_starts_anew_on_a_balanced_set():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = enter(learn(DERExpand(buffer_size=12), scenario, 1, model=SMALL_MODEL), scenario, 1)
    phases = method.phases(method.task)
    fit(method, next(phases))
    trained = method.network.head.linear.weight.detach().clone()
    finetune = next(phases)
    assert finetune.data.labels.bincount().tolist() == [6] * 4
    assert not torch.isclose(trained, method.network.head.linear.weight).any()
    assert [id(p) for p in finetune.parameters] == [id(p) for p in method.network.head.parameters()]
    batch = method.batch(finetune.data)
    method.network.eval()
    torch.testing.assert_close(finetune.loss(batch), F.cross_entropy(method.network(batch.x) / 5, batch.y))


def test_auxiliary_head_tells_new_classes_and_old():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = enter(learn(DERExpand(buffer_size=12), scenario, 1, model=SMALL_MODEL), scenario, 1)
    batch = method.batch(next(iter(method.phases(method.task))).data)
    assert method._auxiliary is not None
    assert method._auxiliary.out_features == 3
    features = method.network.backbone(batch.x)
    target = (batch.y - 1).clamp(min=0)  # columns 2 and 3 are 1 and 2, old ones 0
    expected = F.cross_entropy(method.network.head(features), batch.y)
    expected = expected + F.cross_entropy(method._auxiliary(features[:, 16:]), target)
    torch.testing.assert_close(method.loss(batch), expected)


@pytest.mark.parametrize(("tasks", "published"), [(6, 6.68), (11, 12.19), (3, 3.32)])
def test_der_of_resnet18_has_the_published_flops_and_parameters(tasks, published):
    """DNE paper, Table 1: GFLOPs after 6, 11 and 3 tasks, within 1%; 11.22 M parameters a task."""
    with torch.device("meta"):
        one = build_backbone(ResNetSettings(backbone="resnet18"), (3, 32, 32))
        network = Network(ParallelBackbones([one] * tasks), LinearHead(512 * tasks, 100, bias=False)).eval()
        with torch.no_grad():
            flops = count_flops(network, torch.zeros(1, 3, 32, 32)).total
        parameters = tasks * sum(p.numel() for p in one.parameters()) + 512 * tasks * 100
    assert flops / 1e9 == pytest.approx(published, rel=0.01)
    assert parameters / 1e6 == pytest.approx(11.22 * tasks, rel=0.001)


@pytest.mark.parametrize("head", [LinearHead(3, 4), MultiHead(3, [2, 2]), LinearHead(3, 4, bias=False)])
def test_widened_heads_keep_old_weights_and_fresh_ones_do_not(head):
    x = torch.randn(5, 7)
    x[:, 3:] = 0
    torch.testing.assert_close(widened_head(head, 7)(x), head(x[:, :3]))
    assert not torch.isclose(fresh_head(head, 7)(x), head(x[:, :3])).any()
    assert fresh_head(head, 7).n_outputs == 4


def test_foster_boosts_with_the_old_backbone_frozen_and_leaves_one():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = learn(FOSTER(buffer_size=12, compression_epochs=1), scenario, 1)
    size = sum(p.numel() for p in method.network.backbone.parameters())
    first = copy.deepcopy(method.network.backbone)
    enter(method, scenario, 1)
    phases = method.phases(method.task)
    boost = next(phases)
    old, new = method.network.backbone.parts
    assert same(old, first)
    assert same(new, first)
    fit(method, boost)
    assert same(old, first), "running statistics included"
    assert not same(new, first)
    compress = next(phases)
    assert same(method.network.backbone, first), "the student starts as the old network"
    teacher = snapshot(method.teacher.network)
    fit(method, compress, index=1)
    assert unchanged(method.teacher.network, teacher)
    assert sum(p.numel() for p in method.network.backbone.parameters()) == size
    assert compress.recipe.optimizer.weight_decay == 0


@pytest.mark.parametrize(("keep", "backbones"), [("student", 1), ("teacher", 2)])
def test_foster_answers_with_what_it_keeps(keep, backbones):
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = learn(FOSTER(buffer_size=12, compression_epochs=1, keep=keep), scenario, 2, model=SMALL_MODEL)
    x = method.batch(scenario.tasks[0].train.examples()).x[:1]
    one = count_flops(method.network.backbone, x).total
    assert count_flops(method.predict, x).total >= backbones * one
    assert (count_flops(method.predict, x).total >= 2 * one) == (backbones == 2)
    assert ("teacher" in method.footprint()) == (keep == "teacher")


def test_boosting_loss_by_hand():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = learn(FOSTER(buffer_size=12), scenario, 1, model=SMALL_MODEL)
    before = copy.deepcopy(method.network).eval()
    enter(method, scenario, 1)
    phase = next(iter(method.phases(method.task)))
    batch = method.batch(phase.data)
    counts = batch.y.bincount().double()
    weights = (1 - 0.94) / (1 - 0.94**counts)
    weights = (weights / weights.mean()).float()
    features = method.network.backbone(batch.x)
    logits, new = method.network.head(features), method._new_head(features[:, 16:])
    kept = -(F.softmax(before(batch.x) / 2, 1) * F.log_softmax(logits[:, :2] / 2, 1)).sum(1).mean()
    expected = F.cross_entropy(logits / weights, batch.y) + F.cross_entropy(new, batch.y) + kept
    torch.testing.assert_close(phase.loss(batch), expected)


def test_effective_weights_have_mean_one_and_favour_the_rare():
    weights = effective_weights(torch.tensor([20, 500, 0]), 0.97)
    assert float(weights[:2].mean()) == pytest.approx(1)
    assert weights[0] > weights[1]
    assert weights[2] == 1
    assert torch.equal(effective_weights(torch.tensor([5, 5]), 0.97), torch.ones(2))


def test_balanced_distillation_weights_the_teacher():
    student, teacher = torch.randn(5, 3), torch.randn(5, 3)
    q = F.softmax(teacher / 2, 1) * torch.tensor([2.0, 1.0, 0.5])
    q = q / q.sum(1, keepdim=True)
    expected = F.cross_entropy(student / 2, q)
    torch.testing.assert_close(balanced_distillation(student, teacher, torch.tensor([2.0, 1.0, 0.5]), 2.0), expected)
