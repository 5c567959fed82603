"""Active classes: shared by a batch or each example's own, the same operations mean the same."""

import pytest
import torch
import torch.nn.functional as F

from methods.core import losses
from scenarios.active import ALL, ActiveClasses

LOGITS = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([2, 3, 2, 3, 2])
SHARED = ActiveClasses(slice(2, 4))
EACH = ActiveClasses(mask=SHARED.mask_of(torch.zeros(5, 8)))  # two columns more than exist so far


@pytest.mark.parametrize("active", [SHARED, EACH], ids=["shared", "each"])
def test_losses_are_taken_over_the_active_classes_alone(active):
    cut, y = LOGITS[:, 2:4], LABELS - 2
    for part in (0.0, 0.2):
        expected = F.cross_entropy(cut, y, label_smoothing=part)
        torch.testing.assert_close(losses.cross_entropy(LOGITS, LABELS, active, label_smoothing=part), expected)
    targets = F.one_hot(LABELS, 6).float()
    torch.testing.assert_close(losses.soft_cross_entropy(LOGITS, targets, active), F.cross_entropy(cut, y))
    expected = F.binary_cross_entropy_with_logits(cut, targets[:, 2:4])
    torch.testing.assert_close(losses.binary_cross_entropy(LOGITS, targets, active), expected)


@pytest.mark.parametrize("active", [SHARED, EACH], ids=["shared", "each"])
def test_answers_and_masks(active):
    assert torch.equal(active.answers(LOGITS), LOGITS[:, 2:4].argmax(1) + 2)
    assert active.mask_of(LOGITS).sum(0).tolist() == [0, 0, 5, 5, 0, 0]
    assert (active.fill(LOGITS, 0.0).abs().sum(0) > 0).tolist() == [False, False, True, True, False, False]


def test_all_is_every_class_that_has_a_column():
    assert ALL.select(LOGITS).shape == LOGITS.shape
    assert ALL.mask_of(LOGITS).all()
    assert torch.equal(losses.cross_entropy(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))


def test_classes_of_a_partner_join_only_where_examples_have_their_own():
    others = F.one_hot(torch.zeros(5, dtype=torch.int64), 6).bool()
    assert SHARED.joined_by(others) is SHARED
    assert EACH.joined_by(others).mask.sum(0).tolist() == [5, 0, 5, 5, 0, 0]


def test_smoothing_is_timms():
    from timm.data.mixup import mixup_target

    targets = torch.eye(5)
    expected = mixup_target(torch.arange(5), 5, smoothing=0.1)
    torch.testing.assert_close(losses.smoothed(targets, ALL, 0.1), expected)
