"""Weight aligning: the loss, and what the alignment does to output weights."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from methods.wa import WA, align
from tests.conftest import small_split
from tests.methods.helpers import TINY_RESNET, enter, learn


def distil(scores, answers, temperature=2.0):
    return -(F.softmax(answers / temperature, 1) * F.log_softmax(scores / temperature, 1)).sum(1).mean()


@pytest.mark.parametrize("head", ["growing", "masked"])
def test_mean_norms_of_old_and_new_rows_are_equal_after_every_task(head):
    scenario = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    for seen in (2, 3):
        method = learn(WA(buffer_size=12), scenario, seen, model=TINY_RESNET.model_copy(update={"head": head}))
        norms = method.network.head.linear.weight.detach().norm(dim=1)
        old, new = norms[: 2 * seen - 2], norms[2 * seen - 2 : 2 * seen]
        torch.testing.assert_close(old.mean(), new.mean())


def test_alignment_keeps_directions_and_old_rows():
    weight = torch.randn(5, 3)
    before = weight.clone()
    gamma = align(weight, slice(0, 3), slice(3, 5))
    assert torch.equal(weight[:3], before[:3])
    torch.testing.assert_close(weight[3:], gamma * before[3:])
    assert gamma == pytest.approx(float(before[:3].norm(dim=1).mean() / before[3:].norm(dim=1).mean()))


@pytest.mark.parametrize("setting", ["task", "domain"])
def test_nothing_is_aligned_where_new_classes_have_no_old_rivals(setting, monkeypatch):
    monkeypatch.setattr("methods.wa.align", lambda *args: pytest.fail("aligned"))
    learn(WA(buffer_size=12), small_split(setting, tasks=2, class_order=(0, 1, 2, 3)), 2)


@pytest.mark.parametrize(("weighting", "new", "old"), [("share", 1 / 3, 2 / 3), ("sum", 1.0, 2.0)])
def test_loss_is_cross_entropy_and_distillation_of_the_old_columns(weighting, new, old):
    scenario = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    method = learn(WA(buffer_size=12, weighting=weighting), scenario, 2)
    before = copy.deepcopy(method.network).eval()
    enter(method, scenario, 2)
    batch = method.batch(scenario.tasks[2].train.examples())
    scores = method.network(batch.x)
    expected = new * F.cross_entropy(scores, batch.y) + old * distil(scores[:, :4], before(batch.x))
    torch.testing.assert_close(method.loss(batch), expected)


def test_trains_on_new_data_and_all_exemplars():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = learn(WA(buffer_size=12), scenario, 1)
    enter(method, scenario, 1)
    phase = next(iter(method.phases(method.task)))
    assert len(phase.data) == 40 + 12
    assert phase.data.labels.bincount().tolist()[:2] == [6, 6]


def test_clamped_weights_are_never_negative():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    assert (learn(WA(buffer_size=12), scenario, 2).network.head.linear.weight < 0).any()
    assert (learn(WA(buffer_size=12, clamp_weights=True), scenario, 2).network.head.linear.weight >= 0).all()
