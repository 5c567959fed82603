"""Cosine and multi-proxy output layers: growth, similarities, imprinting."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.cosine_heads import CosineHead, MultiProxyHead

HEADS = [CosineHead, MultiProxyHead]


@pytest.mark.parametrize("head_class", HEADS)
def test_growth_keeps_old_rows_bit_for_bit_and_their_logits(head_class: type[CosineHead]) -> None:
    head = head_class(8, 3)
    features = torch.randn(5, 8)
    rows, logits = head.weight.clone(), head(features).clone()
    head.grow(7)
    assert head.n_outputs == 7
    assert head.weight.shape == (7 * head.proxies, 8)
    assert torch.equal(head.weight[: len(rows)], rows)
    torch.testing.assert_close(head(features)[:, :3], logits)  # a wider product may round otherwise
    assert head.weight[len(rows) :].unique(dim=0).shape[0] == 4 * head.proxies


@pytest.mark.parametrize("head_class", HEADS)
def test_growing_to_the_same_changes_nothing_and_to_less_is_an_error(head_class: type[CosineHead]) -> None:
    head = head_class(8, 3)
    rows = head.weight.clone()
    head.grow(3)
    assert torch.equal(head.weight, rows)
    with pytest.raises(ValueError, match="3 columns cannot shrink to 2"):
        head.grow(2)


@pytest.mark.parametrize("head_class", HEADS)
def test_an_empty_head_has_no_columns(head_class: type[CosineHead]) -> None:
    head = head_class(8)
    assert head.n_outputs == 0
    assert head(torch.randn(4, 8)).shape == (4, 0)
    head.grow(2)
    assert head(torch.randn(4, 8), task=1).shape == (4, 2)


@pytest.mark.parametrize("head_class", HEADS)
def test_old_rows_are_frozen_by_leaving_them_out_of_the_optimizer(head_class: type[CosineHead]) -> None:
    head = head_class(8, 3)
    old = head.weight.detach().clone()
    head.grow(5)
    optimizer = torch.optim.SGD([head.rows[-1], head.scale], lr=1.0, weight_decay=0.1)
    F.cross_entropy(head(torch.randn(6, 8)), torch.arange(6) % 5).backward()
    before = head.weight.detach().clone()
    optimizer.step()
    assert torch.equal(head.weight[: len(old)], old)
    assert not torch.equal(head.weight[len(old) :], before[len(old) :])


@pytest.mark.parametrize("head_class", HEADS)
def test_a_grown_head_is_copied_and_restored_whole(head_class: type[CosineHead]) -> None:
    head = head_class(8, 3)
    head.grow(5)
    features = torch.randn(4, 8)
    teacher = copy.deepcopy(head)
    other = head_class(8, 3)
    other.grow(5)
    other.load_state_dict(head.state_dict())
    assert torch.equal(teacher(features), head(features))
    assert torch.equal(other(features), head(features))


def test_cosine_logits_are_scaled_cosines() -> None:
    head = CosineHead(16, 6, scale=3.0)
    features = torch.randn(9, 16) * 10
    expected = torch.stack([F.cosine_similarity(features, row, dim=1) for row in head.weight], 1)
    assert torch.allclose(head.similarities(features), expected, atol=1e-6)
    assert torch.allclose(head(features), 3 * expected, atol=1e-5)
    head(features).sum().backward()
    assert head.scale.grad.item() == pytest.approx(expected.sum().item(), rel=1e-4)


def test_multi_proxy_similarity_is_the_softmax_weighted_mean() -> None:
    head = MultiProxyHead(16, 6, scale=2.0, proxies=4)
    features = torch.randn(9, 16) * 10
    similarities = head.similarities(features)
    for n, feature in enumerate(features):
        for label in range(6):
            own = head.weight[label * 4 : label * 4 + 4]
            cosines = F.cosine_similarity(own, feature, dim=1)
            expected = sum(s * c for s, c in zip(cosines.exp() / cosines.exp().sum(), cosines, strict=True))
            assert similarities[n, label].item() == pytest.approx(expected.item(), abs=1e-6)
    assert torch.allclose(head(features), 2 * similarities)


def test_rows_start_as_those_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    head = CosineHead(64, 1000)
    bound = 64**-0.5
    assert head.weight.abs().max() <= bound
    assert head.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    torch.manual_seed(0)
    assert torch.equal(CosineHead(64, 1000).weight, head.weight)


def clusters(classes: list[int], per_class: int, centres: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, of all lengths, close to unit centres; labels; the centres [classes, centres, 32]."""
    rng = torch.Generator().manual_seed(0)
    middle = F.normalize(torch.randn(len(classes), centres, 32, generator=rng), dim=2)
    points = middle.repeat(1, per_class // centres, 1)
    points = points + 0.01 * torch.randn(points.shape, generator=rng)
    points = points * (0.1 + 10 * torch.rand(*points.shape[:2], 1, generator=rng))
    labels = torch.tensor(classes).repeat_interleave(per_class)
    shuffled = torch.randperm(len(labels), generator=rng)
    return points.flatten(0, 1)[shuffled], labels[shuffled], middle


def test_cosine_rows_are_imprinted_with_the_mean_direction() -> None:
    head = CosineHead(32, 3)
    with torch.no_grad():
        head.rows[0].mul_(7)
    old = head.weight.detach().clone()
    head.grow(6)
    features, labels, middle = clusters([3, 5], per_class=40, centres=1)
    untouched = head.weight[4].detach().clone()
    head.imprint(features, labels)
    assert torch.equal(head.weight[:3], old)
    assert torch.equal(head.weight[4], untouched)
    for row, centre in ((head.weight[3], middle[0, 0]), (head.weight[5], middle[1, 0])):
        # Noise of 0.01 in 32 dimensions, averaged over 40: an angle of about 0.01.
        assert F.cosine_similarity(row, centre, dim=0) > 0.9999
        assert row.norm().item() == pytest.approx(old.norm(dim=1).mean().item(), rel=1e-5)


def test_proxies_are_imprinted_with_the_centres_of_k_means() -> None:
    head = MultiProxyHead(32, 2, proxies=4)
    head.grow(4)
    features, labels, middle = clusters([2, 3], per_class=80, centres=4)
    head.imprint(features, labels, seed=1)
    for label in (2, 3):
        own = F.normalize(head.weight[label * 4 : label * 4 + 4], dim=1)
        closest = (own @ middle[label - 2].T).max(dim=1)
        assert (closest.values > 0.999).all()
        assert sorted(closest.indices.tolist()) == [0, 1, 2, 3]
    before = head.weight.detach().clone()
    head.imprint(features, labels, seed=1)
    assert torch.equal(head.weight, before)


def test_a_class_of_few_samples_repeats_them_as_proxies() -> None:
    head = MultiProxyHead(32, 1, proxies=5)
    features, labels, middle = clusters([0], per_class=2, centres=2)
    head.imprint(features, labels)
    own = F.normalize(head.weight, dim=1)
    assert len(own.unique(dim=0)) == 2
    assert ((own @ middle[0].T).max(dim=1).values > 0.99).all()


def test_imprinting_an_old_class_is_an_error() -> None:
    head = CosineHead(32, 2)
    head.grow(4)
    with pytest.raises(ValueError, match="columns 2 to 3, not 1 to 3"):
        head.imprint(torch.randn(3, 32), torch.tensor([1, 2, 3]))
    with pytest.raises(ValueError, match="grow the head first"):
        CosineHead(32).imprint(torch.randn(1, 32), torch.tensor([0]))
