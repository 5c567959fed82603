"""Small trained parts of a fixed vision transformer: how many numbers they train, what they leave as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models import TimmSettings
from models.adapters import AdaptedTransformer, with_prompts, with_scale_and_shift
from models.frozen import Frozen
from models.low_rank import low_rank_layers, with_low_rank
from models.task_heads import TaskHeads
from models.timm_backbone import TimmBackbone
from models.vision_transformer import fixed_transformer
from tests.conftest import SMALL_VIT
from tests.methods.helpers import snapshot, unchanged

TRAINED = {
    "adapter": 1_189_632,
    "ssf": 205_824,
    "vpt-deep": 46_080,
    "vpt-shallow": 3_840,
    "inflora": 184_320,
    "sd-lora": 368_661,
}
"""Without output layers, of a task, on ViT-B/16: counted on the releases' own modules (RevisitingCIL a2e6b71, CVPR24-Ease
6d67508, InfLoRA e08b00e, SD-Lora-CL 8bacded). EASE's task is an adapter in every block."""


def small() -> nn.Module:
    torch.manual_seed(0)
    return SMALL_VIT.build((1, 8, 8))


def weigh(features: torch.Tensor) -> torch.Tensor:
    """A loss with a gradient: neither the sum nor the sum of squares of layer-normed features has one."""
    return (features * torch.randn_like(features)).sum()


def with_part(name: str, backbone: nn.Module) -> nn.Module:
    if name == "adapter":
        adapted = AdaptedTransformer(backbone)
        adapted.add()
        return adapted
    if name in ("inflora", "sd-lora"):
        magnitudes = nn.Parameter(torch.full((21,), 0.8)) if name == "sd-lora" else None
        backbone = with_low_rank(backbone, ("key" if name == "inflora" else "query", "value"), magnitudes)
        for layer in low_rank_layers(backbone):
            layer.add(10)
            if name == "inflora":  # its task fixes them
                layer.downs.requires_grad_(False)
        return backbone
    return with_scale_and_shift(backbone) if name == "ssf" else with_prompts(backbone, 5, name == "vpt-deep")


def trained(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.requires_grad]


@pytest.mark.parametrize("name", TRAINED)
def test_trained_parameters_on_vit_b_16(name):
    with torch.device("meta"):
        backbone = TimmBackbone("timm:vit_base_patch16_224")
        assert sum(p.numel() for p in backbone.parameters()) == 85_798_656
        assert sum(p.numel() for p in trained(with_part(name, backbone))) == TRAINED[name]


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_reaches_every_trained_number_and_nothing_else(name):
    network = with_part(name, small()).train()
    fixed = {n: p.detach().clone() for n, p in network.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.SGD(trained(network), lr=0.1)
    x = torch.rand(3, 1, 8, 8)
    for _ in range(2):  # an up matrix of 0 keeps the first step from the down matrix
        optimizer.zero_grad()
        weigh(network(x)).backward()
        optimizer.step()
    reached = [p.grad is not None and bool(p.grad.any()) for p in trained(network)]
    assert all(reached)
    now = dict(network.named_parameters())
    assert all(torch.equal(now[n], value) for n, value in fixed.items())


@pytest.mark.parametrize("name", ["adapter", "inflora", "sd-lora"])
def test_parts_that_start_at_0_change_nothing_at_first(name):
    x = torch.rand(3, 1, 8, 8)
    plain = small().eval()(x)
    assert torch.equal(with_part(name, small()).eval()(x), plain)


def test_prompts_are_seen_by_the_image_s_tokens_and_gone_afterwards():
    x = torch.rand(3, 1, 8, 8)
    for deep in (False, True):
        network = with_prompts(small(), 4, deep).eval()
        before = network(x)
        assert before.shape == (3, network.features)
        with torch.no_grad():
            trained(network)[-1].normal_()  # not the same everywhere: a norm would take it away
        assert not torch.allclose(network(x), before)


def test_what_frozen_wraps_is_opened_and_gradients_pass():
    frozen = Frozen(small())
    network = with_part("adapter", frozen)
    weigh(network(torch.rand(2, 1, 8, 8))).backward()
    assert network.blocks[0].adapters[0].up.weight.grad.any()


def test_another_kind_of_network_is_refused():
    resnet = TimmSettings(backbone="timm:test_resnet").build((3, 32, 32))
    with pytest.raises(ValueError, match=r"vision transformer of timm .*not ResNet"):
        fixed_transformer(resnet)
    other = TimmSettings(backbone="timm:test_vit4").build((3, 32, 32))
    other.model.blocks[0].attn = nn.Identity()
    with pytest.raises(ValueError, match="plain blocks and attention"):
        fixed_transformer(other)


def test_only_the_newest_head_of_tasks_learns():
    heads = TaskHeads(4)
    assert heads(torch.rand(2, 4)).shape == (2, 0)
    heads.grow(3)
    before = snapshot(heads.layers[0])
    heads.grow(3)
    heads.grow(5)
    assert heads.sizes == [3, 2]
    assert [p.requires_grad for p in heads.parameters()] == [False, False, True, True]
    assert unchanged(heads.layers[0], before)
    with pytest.raises(ValueError, match="cannot shrink"):
        heads.grow(2)
