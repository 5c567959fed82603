"""timm models as backbones: shapes, image sizes, names, and nothing fetched unasked."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.frozen import Resized
from models.timm_backbone import TimmBackbone, TimmSettings


@pytest.mark.parametrize(
    "name",
    [
        "timm:vit_tiny_patch16_224",
        "swin_tiny_patch4_window7_224",
        "convnext_atto",
        "mobilenetv3_small_050",  # features wider than its last convolution
    ],
)
def test_features_are_as_wide_as_promised(name: str) -> None:
    backbone = TimmBackbone(name, image_size=64).eval()
    with torch.no_grad():
        assert backbone(torch.zeros(2, 3, 64, 64)).shape == (2, backbone.features)


def test_a_vision_transformer_is_built_for_the_image_size() -> None:
    backbone = TimmBackbone("timm:vit_tiny_patch16_224", image_size=32, patch_size=4, in_channels=1)
    assert backbone.model.pos_embed.shape == (1, 1 + 8 * 8, 192)
    assert backbone(torch.zeros(1, 1, 32, 32)).shape == (1, 192)
    assert TimmBackbone("vit_tiny_patch16_224").model.pos_embed.shape == (1, 1 + 14 * 14, 192)


def test_weights_come_from_torchs_generator_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        backbone = TimmBackbone("vit_tiny_patch16_224", image_size=32, depth=2)
        return torch.cat([p.flatten() for p in backbone.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_nothing_is_fetched_unless_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    attempts = []

    def refuse(*args, **kwargs):
        attempts.append(args)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    TimmBackbone("vit_tiny_patch16_224.augreg_in21k", image_size=32)
    assert not attempts


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("timm:vit_tiny_patch16_225", "timm:vit_tiny_patch16_224"),
        ("resnet18.a1_in2k", r"timm:resnet18\.a1_in1k"),
        ("qqqqqqqq", r"timm\.list_models"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=nearest):
        TimmBackbone(name)


def test_timm_is_imported_only_when_needed() -> None:
    code = "import sys, models.timm_backbone; sys.exit('timm' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [
        ("vit_tiny_patch16_224", 28, "256 of an image's 784 pixels: 28 is no multiple of 16; padding: 2 makes 32"),
        (
            "swin_tiny_patch4_window7_224",
            30,
            "784 of an image's 900 pixels: 30 is no multiple of 4; padding: 1 makes 32",
        ),
        ("mixer_s32_224", 33, "33 is no multiple of 32; use transform.image_size: 64"),
        ("vgg11", 8, "vgg11 cannot take images of 8x8 pixels .*too small.*; give it larger ones"),
        ("test_vit", 28, "cannot take images of 28x28 pixels .*divisible by patch size"),
    ],
)
def test_images_that_do_not_fit_the_network_are_refused(name: str, side: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TimmBackbone(name, side, 1)


@pytest.mark.parametrize(
    ("name", "side"), [("vit_tiny_patch16_224", 32), ("resnet18", 29), ("resnet18", 8), ("tf_efficientnet_b0", 29)]
)
def test_images_that_fit_are_taken_and_the_network_is_as_it_was(name: str, side: int) -> None:
    torch.manual_seed(0)
    backbone = TimmBackbone(name, side, 1)
    after = torch.rand(3)
    torch.manual_seed(0)
    plain = TimmBackbone(name, None, 1, **({"img_size": side} if name.startswith("vit") else {}))
    assert torch.equal(after, torch.rand(3))
    assert backbone.training
    assert not any(m._forward_hooks for m in backbone.modules())
    state = backbone.state_dict()
    assert all(torch.equal(state[key], value) for key, value in plain.state_dict().items())


def test_images_made_larger_without_weights_leave_nothing_infinite() -> None:
    """A network with what is not finite counts as diverged."""
    network = TimmSettings(backbone="timm:test_vit", image_size=32).build((1, 8, 8))
    assert isinstance(network, Resized)
    assert all(buffer.isfinite().all() for buffer in network.buffers())
    assert (network.low < -1e30).all()  # and nothing is cut off
