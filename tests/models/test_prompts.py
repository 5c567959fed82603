"""A frozen vision transformer with prompts: its own features without them, each image's own with them."""

from __future__ import annotations

import pytest
import torch

from models import model_settings
from models.prompts import PromptedTransformer

SHAPE = (3, 32, 32)


def build(name: str = "test_vit", **settings):
    torch.manual_seed(0)
    return model_settings({"backbone": f"timm:{name}", "image_size": 48, "init": "xavier", **settings}).build(SHAPE)


def images(n: int = 3) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit4", "vit_small_patch14_dinov2"])
@pytest.mark.parametrize("frozen", [True, False])
def test_without_prompts_it_is_the_backbone(name, frozen):
    settings = {"image_size": 42} if "14" in name else {}
    backbone, x = build(name, frozen=frozen, **settings).eval(), images()
    with torch.no_grad():
        expected = backbone(x)
    prompted = PromptedTransformer(backbone)
    assert torch.equal(prompted(x), expected)
    assert prompted(x).shape == (3, prompted.features)
    assert not any(p.requires_grad for p in prompted.parameters())
    assert all(v.isfinite().all() for v in prompted.buffers())


def test_prefixes_of_no_keys_change_nothing():
    prompted, x = PromptedTransformer(build()), images()
    none = torch.zeros(3, 0, prompted.features)
    prefixes = dict.fromkeys(range(prompted.depth), (none, none))
    torch.testing.assert_close(prompted(x, prefixes=prefixes), prompted(x))


@pytest.mark.parametrize("kind", ["prompts", "prefixes"])
def test_an_image_sees_its_own_prompts_alone_and_they_learn(kind):
    prompted, x = PromptedTransformer(build()).train(), images()
    given = torch.randn(3, 4, prompted.features, requires_grad=True)

    def features(rows):
        if kind == "prompts":
            return prompted(x[rows], prompts=given[rows])
        return prompted(x[rows], prefixes={1: (given[rows], given[rows].flip(1)), 5: (given[rows], given[rows])})

    together = features(slice(None))
    for row in range(3):
        torch.testing.assert_close(features(slice(row, row + 1)), together[row : row + 1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together, prompted(x), atol=1e-3)
    (gradient,) = torch.autograd.grad(together[1, 0], given)
    assert gradient[1].abs().sum() > 0
    assert not gradient[0].any()
    assert not gradient[2].any()
    assert not any(module.training for module in prompted.modules())


def test_what_is_no_plain_vision_transformer_is_refused():
    with pytest.raises(ValueError, match=r"want a vision transformer of timm .*, not EfficientNet"):
        PromptedTransformer(build("test_efficientnet"))
    with pytest.raises(ValueError, match="plain blocks and attention"):
        PromptedTransformer(other_blocks())


def other_blocks():
    from timm.models.vision_transformer import ParallelScalingBlock

    backbone = build()
    vit = backbone.backbone.model
    vit.blocks[1] = ParallelScalingBlock(vit.embed_dim, 2)
    return backbone
