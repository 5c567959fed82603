"""Networks by their settings."""

from functools import partial

import pytest
import torch
from pydantic import ValidationError

from models import ModelSettings, build_network
from models.cosine_heads import CosineHead, MultiProxyHead

IMAGE = (3, 32, 32)


def built(head: str = "growing", start: int = 0, head_layer=None, **settings):
    torch.manual_seed(0)
    return build_network(ModelSettings(**settings), IMAGE, head, [2, 2], start, head_layer)


@pytest.mark.parametrize(
    ("settings", "features"),
    [
        ({"backbone": "mlp", "hidden": (7,)}, 7),
        ({"backbone": "resnet18", "width": 0.125}, 64),
        ({"backbone": "resnet32", "width": 0.5}, 32),
        ({"backbone": "imagenet_resnet18", "width": 0.125}, 64),
        ({"backbone": "timm:mobilenetv3_small_050"}, 1024),
        ({"backbone": "timm:test_vit"}, 64),
    ],
)
def test_every_backbone_takes_a_head_that_grows(settings, features):
    network = built(**settings).eval()
    assert network.backbone.features == features
    x = torch.randn(2, *IMAGE)
    network.expand(2)
    before = network(x)
    network.expand(5)
    assert network(x).shape == (2, 5)
    assert torch.allclose(network(x)[:, :2], before, atol=1e-5)


def test_resnet_settings_reach_the_network():
    network = built(backbone="resnet32", width=0.25, zero_init_last_bn=True, last_relu=False)
    assert not network.backbone.stages[-1][-1].conv2[1].weight.any()
    assert not network.backbone.stages[-1][-1].last_relu
    assert built(backbone="mlp", hidden=(50,), last_relu=False).backbone(torch.randn(4, *IMAGE)).min() < 0


@pytest.mark.parametrize("layer", [CosineHead, partial(MultiProxyHead, proxies=3)])
def test_a_method_may_ask_for_its_own_output_layer(layer):
    x = torch.randn(2, *IMAGE)
    network = built(hidden=(8,), head_layer=layer)
    network.expand(3)
    assert isinstance(network.head, CosineHead)
    assert network(x).abs().max() <= 1 + 1e-6
    multi = built("multi", 4, hidden=(8,), head_layer=layer)
    own = multi(x, 1)
    assert own.shape == (2, 4)
    assert own[:, 2:].abs().max() <= 1 + 1e-6
    assert (own[:, :2] == torch.finfo(own.dtype).min).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backbone": "resnet-18"}, ["did you mean 'resnet18'"]),
        ({"backbone": "timm:resnet18dd"}, ["timm:resnet18d"]),
        ({"width": 0.5, "zero_init_last_bn": True}, ["width belongs to resnet18", "zero_init_last_bn belongs to"]),
        ({"backbone": "resnet18", "pretrained": True}, ["pretrained belongs to timm:NAME"]),
        ({"hidden": ()}, ["at least one hidden layer"]),
        ({"backbone": "resnet18", "width": 0.0}, ["greater than 0"]),
    ],
)
def test_what_does_not_go_together_is_said(settings, said):
    with pytest.raises(ValidationError) as error:
        ModelSettings(**settings)
    assert all(text in str(error.value) for text in said)


@pytest.mark.parametrize("hidden", [[-3], [0], [16, 0]])
def test_layers_without_units_are_refused(hidden):
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        ModelSettings.model_validate_json(f'{{"hidden": {hidden}}}')
