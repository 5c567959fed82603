"""DyTox: size, cost, growth, and what may be frozen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from metrics.flops import count_flops
from models.dytox import DyTox

SMALL = {"image_shape": (3, 8, 8), "patch": 4, "dim": 24, "heads": 3, "depth": 2}


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def grown(*columns: int, **settings) -> DyTox:
    network = DyTox(**(settings or SMALL))
    for n in columns:
        network.expand(n)
    return network


def test_parameters_as_published():
    # Douillard et al. 2022, table 1: 10.73 M at 10 tasks; joint training, one task of 100 classes, 10.72 M.
    def millions(network: DyTox) -> float:
        network.drop_training_parts()
        return sum(p.numel() for p in network.parameters()) / 1e6

    network = DyTox()
    network.expand(10)
    # A first task of 10 classes lacks the weights of 90 columns.
    assert millions(network) == pytest.approx(10.72 - 90 * 385 / 1e6, abs=0.005)
    assert millions(network) == pytest.approx(10.72, rel=0.01)
    for n in range(20, 101, 10):
        network.expand(n)
    assert round(millions(network), 2) == 10.73
    network = DyTox()
    network.expand(100)
    assert round(millions(network), 2) == 10.72


def test_flops_of_six_tasks():
    # 2 per multiply-add, batch 1, 3 x 32 x 32; the paper (DNE, table 1) prints 1.38 G: modules only.
    network = DyTox().eval()
    for n in (50, 60, 70, 80, 90, 100):
        network.expand(n)
    with torch.no_grad():
        flops = count_flops(network, torch.zeros(1, 3, 32, 32))
    assert round(flops.modules / 1e9, 3) == 1.384
    assert round(flops.total / 1e9, 3) == 1.416


def test_expand_keeps_old_logits_bit_for_bit():
    network = grown(3, 5).eval()
    x = torch.randn(2, 3, 8, 8)
    old = network(x)
    network.expand(9)
    assert network(x).shape == (2, 9)
    assert torch.equal(network(x)[:, :5], old)


def test_expand_by_nothing_does_nothing_and_shrinking_is_an_error():
    network = grown(3, 5)
    network.expand(5)
    assert network.sizes == [3, 2]
    with pytest.raises(ValueError, match="cannot shrink to 4"):
        network.expand(4)


def test_without_a_task_there_are_no_columns():
    assert DyTox(**SMALL)(torch.randn(2, 3, 8, 8)).shape == (2, 0)


def test_parts():
    network = grown(3)
    x = torch.randn(2, 3, 8, 8)
    assert network.forward_parts(x).divergence is None  # nothing older than the first task
    network.expand(5)
    network.expand(9)
    network.eval()
    parts = network.forward_parts(x)
    assert torch.equal(parts.logits, network(x))
    assert parts.embeddings.shape == (2, 3, 24)
    assert parts.divergence.shape == (2, 5)  # 4 new classes and "older"
    assert torch.equal(network.embed(x), parts.embeddings.flatten(1))
    network.drop_training_parts()
    assert network.forward_parts(x).divergence is None


def test_each_head_reads_its_own_token():
    network = grown(3, 5).eval()
    x = torch.randn(2, 3, 8, 8)
    before = network(x)
    with torch.no_grad():
        network.tokens[1] += torch.randn(24)
    after = network(x)
    assert torch.equal(after[:, :3], before[:, :3])
    assert not torch.allclose(after[:, 3:], before[:, 3:])


def test_fused_tokens_agree():
    network = grown(3, 5, 9).eval()
    x = torch.randn(4, 3, 8, 8)
    canonical = network(x)
    network.fused = True
    torch.testing.assert_close(network(x), canonical, rtol=0, atol=1e-5)


@pytest.mark.parametrize("columns", [(3,), (3, 5), (3, 5, 9)])
def test_every_parameter_is_in_exactly_one_group(columns):
    network = grown(*columns)
    grouped = [id(p) for group in network.parameter_groups().values() for p in group]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in network.parameters()}


def test_freeze_freezes_exactly_what_it_names():
    network = grown(3, 5, 9)
    network.freeze("encoder", "divergence")
    network.freeze("old_tokens", "old_heads")
    frozen = {name for name, group in network.parameter_groups().items() if not any(p.requires_grad for p in group)}
    assert frozen == {"old_tokens", "old_heads"}
    assert sum(not p.requires_grad for p in network.parameters()) == 2 + 2 * 4
    with pytest.raises(ValueError, match="no parameter groups"):
        network.freeze("tokens")


@pytest.mark.parametrize("encoder", ["gpsa", "plain", "conv-stem", "conv-trunk"])
def test_gradient_reaches_every_trainable_parameter(encoder):
    network = grown(3, 5, **{**SMALL, "encoder": encoder, "drop_path": 0.0})
    network.freeze("old_tokens", "old_heads")
    parts = network.forward_parts(torch.randn(8, 3, 8, 8))
    loss = F.cross_entropy(parts.logits, torch.arange(8) % 5)
    loss = loss + F.cross_entropy(parts.divergence, torch.arange(8) % 3)
    loss.backward()
    for name, parameter in network.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.any())
        assert reached == parameter.requires_grad, name


@pytest.mark.parametrize("encoder", ["gpsa", "plain", "conv-stem", "conv-trunk"])
@pytest.mark.parametrize("patch", [16, 32])
def test_images_of_224_pixels(encoder, patch):
    settings = {
        "image_shape": (3, 224, 224),
        "patch": patch,
        "dim": 24,
        "heads": 3,
        "depth": 1,
        "encoder": encoder,
    }
    network = grown(4, **settings)
    with torch.no_grad():
        assert network(torch.randn(1, 3, 224, 224)).shape == (1, 4)
        assert network.encoder(torch.randn(1, 3, 224, 224))[0].shape == (1, (224 // patch) ** 2, 24)


def test_other_shapes():
    network = grown(2, image_shape=(1, 28, 28), patch=4, dim=24, heads=3, depth=1)
    assert network(torch.randn(2, 1, 28, 28)).shape == (2, 2)
    with pytest.raises(ValueError, match="do not tile"):
        DyTox(image_shape=(1, 28, 28), patch=16)
    with pytest.raises(ValueError, match="no encoder"):
        DyTox(encoder="swin")


def test_drop_path_rises_to_the_task_attention_block():
    network = DyTox(dim=24, heads=3)
    rates = [block.drop_path.rate for block in [*network.encoder.blocks, network.decoder]]
    assert rates == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1])
