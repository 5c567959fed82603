"""UCIR and PODNet: what stays fixed, what new classes start from, and their losses."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cell.fit import fit
from methods.parts.cosine import column_scales
from methods.podnet import PODNet, nca, pod_spatial
from methods.ucir import UCIR
from tests.conftest import SMALL_MODEL, small_split
from tests.methods.helpers import BRIEF, TINY_RESNET, enter, learn, snapshot, unchanged

ORDER = (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("cls", [UCIR, PODNet])
@pytest.mark.parametrize("head", ["growing", "masked"])
def test_old_rows_stay_in_the_main_phase_and_the_backbone_in_the_fine_tuning(cls, head):
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = learn(
        cls(buffer_size=12, finetune_epochs=2), scenario, 1, model=TINY_RESNET.model_copy(update={"head": head})
    )
    enter(method, scenario, 1)
    n = 2 * method.network.head.proxies
    old, first = method.network.head.weight[:n].detach().clone(), snapshot(method.network.backbone)
    main, finetune = method.phases(method.task), None
    fit(method, next(main))
    assert torch.equal(method.network.head.weight[:n], old)
    assert not unchanged(method.network.backbone, first)
    finetune = next(main)
    assert finetune.data.labels.bincount().tolist() == [3, 3, 3, 3], "the same number of every class"
    backbone = snapshot(method.network.backbone)
    fit(method, finetune, index=1)
    assert unchanged(method.network.backbone, backbone), "running statistics included"
    assert not torch.equal(method.network.head.weight[:n], old)


def test_new_rows_start_at_their_classes_mean_feature():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = enter(learn(UCIR(buffer_size=12), scenario, 1, model=SMALL_MODEL), scenario, 1)
    batch = method.batch(scenario.tasks[1].train.examples())
    features = F.normalize(method.network.backbone(batch.x), dim=1)
    for column in (2, 3):
        mean = features[batch.y == column].mean(0)
        torch.testing.assert_close(
            F.cosine_similarity(method.network.head.weight[column], mean, dim=0), torch.tensor(1.0)
        )


def test_features_may_be_negative():
    method = UCIR().start(small_split("class"), TINY_RESNET, BRIEF)
    assert (method.network.backbone(torch.randn(4, 1, 8, 8)) < 0).any()


@pytest.mark.parametrize(("adaptive", "factor"), [("old", 2.0), ("total", 3.0)])
def test_ucir_loss_by_hand(adaptive, factor):
    """Two tasks of two classes learned, the third begins: C_old / C_new = 2, C_total / C_new = 3."""
    scenario = small_split("class", tasks=3, class_order=ORDER)
    method = learn(
        UCIR(buffer_size=12, adaptive=adaptive, finetune_epochs=0, margin=0.5), scenario, 2, model=SMALL_MODEL
    )
    before = copy.deepcopy(method.network.backbone)
    enter(method, scenario, 2)
    with torch.no_grad():
        for p in method.network.backbone.parameters():
            p.add_(0.05 * torch.randn_like(p))
    phase = next(iter(method.phases(method.task)))
    batch = method.batch(phase.data)
    features = method.network.backbone(batch.x)
    logits = method.network.head(features)
    cosines = (logits / method.network.head.scale).detach()
    ranked = []
    for row, label in zip(cosines, batch.y.tolist(), strict=True):
        if label < 4:
            ranked.append(sum(max(float(0.5 - row[label] + row[k]), 0.0) for k in (4, 5)) / 2)
    less_forget = 5 * factor**0.5 * (1 - F.cosine_similarity(features, before(batch.x))).mean()
    expected = F.cross_entropy(logits, batch.y) + less_forget + sum(ranked) / len(ranked)
    torch.testing.assert_close(method.loss(batch), expected)


def test_nearest_mean_answers_when_asked_to():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = learn(UCIR(buffer_size=12, classify="nme", finetune_epochs=0), scenario, 2, model=SMALL_MODEL)
    batch = method.batch(scenario.tasks[0].train.examples())
    features = F.normalize(method.network.backbone(batch.x), dim=1)
    cosines = features @ method.means.means.T
    torch.testing.assert_close(method.predict(batch.x)[:, method.buffer.classes], cosines)


def test_column_scales_of_one_layer_and_of_one_a_task():
    for setting, n in (("class", 2), ("task", 6)):
        scenario = small_split(setting, tasks=3, class_order=ORDER)
        method = enter(UCIR().start(scenario, SMALL_MODEL, BRIEF), scenario, 0)
        assert column_scales(method.network.head).shape == (n,)


def test_nca_of_the_paper_by_hand():
    logits, labels, eta, margin = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1]), 1.7, 0.6
    expected = []
    for row, label in zip(logits, labels.tolist(), strict=True):
        others = sum(torch.exp(row[i]) for i in range(4) if i != label)
        expected.append(max(-torch.log(torch.exp(row[label] - eta * margin) / others), torch.tensor(0.0)))
    torch.testing.assert_close(nca(logits, labels, torch.full((4,), eta * margin)), torch.stack(expected).mean())


def test_nca_of_the_release_does_not_depend_on_the_margin():
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    one, two = (nca(logits, labels, torch.full((4,), m), form="release") for m in (0.0, 0.6))
    assert one == two
    top = logits.max(1, keepdim=True).values
    others = torch.exp(logits - top).sum(1) - torch.exp(logits - top).gather(1, labels[:, None])[:, 0] + 1
    expected = torch.log(others) - (logits - top).gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(one, expected.mean())


def test_nca_of_a_single_class_has_no_gradient():
    logits = torch.randn(3, 1, requires_grad=True)
    nca(logits, torch.zeros(3, dtype=torch.int64), torch.full((1,), 0.6)).backward()
    assert torch.equal(logits.grad, torch.zeros(3, 1))


def test_pod_spatial_pools_squares_over_each_axis():
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)

    def pooled(h):
        return F.normalize(torch.cat([h.pow(2).sum(3).reshape(2, -1), h.pow(2).sum(2).reshape(2, -1)], 1), dim=1)

    torch.testing.assert_close(pod_spatial([a], [b]), (pooled(a) - pooled(b)).norm(dim=1).mean())
    assert pod_spatial([a, b], [a, b]) == 0
    torch.testing.assert_close(pod_spatial([a, b], [b, b]), pod_spatial([a], [b]) / 2)


def test_podnet_gradients_are_clamped():
    scenario = small_split("class", tasks=1, class_order=(0, 1))
    method = enter(PODNet(clamp=1e-3).start(scenario, SMALL_MODEL, BRIEF), scenario, 0)
    (phase,) = method.phases(method.task)
    batch = method.batch(phase.data)
    method.loss(batch).backward()
    assert max(p.grad.abs().max() for p in method.network.parameters()) > 1e-3
    method.adjust_gradients(batch)
    assert max(p.grad.abs().max() for p in method.network.parameters()) <= 1e-3


def test_the_margin_does_not_drive_the_scale_negative():
    """With eta's gradient through the margin the loss falls as eta does wherever the margin is not met."""
    scenario = small_split("class", tasks=1, class_order=(0, 1))
    method = enter(PODNet().start(scenario, SMALL_MODEL, BRIEF), scenario, 0)
    batch = method.batch(scenario.tasks[0].train.examples())
    with torch.no_grad():  # right, but by less than the margin
        method.network.head.imprint(method.network.backbone(batch.x), batch.y)
    method.loss(batch).backward()
    assert method.network.head.scale.grad < 0
