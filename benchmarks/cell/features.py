"""Features of a frozen backbone, computed once and kept on disk for all cells, methods and seeds that ask for them.

A set of features lies in a folder named by all that decides it: data, weights, size, normalisation, number format. It is
divided into parts that any process may compute: workers that start together share the work, none does what another does,
and a run that is stopped goes on with the parts that are missing. Each is written whole and checked when it is read.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.records.atomic_write import write_whole, written_whole
from benchmarks.request.suite import CellSettings
from methods import Method
from methods.core.precision import autocast, resolve_precision
from metrics.flops import Flops, count_flops
from models import ModelSettings, TimmSettings
from models.identity import IdentitySettings
from scenarios import Normalise, Scenario
from scenarios.features import on_features

VERSION = 1
"""Raised when the same settings give other features."""
PART = 1000
"""Images in a part: what is lost when a process is killed, and what is kept from others while one computes it."""
AT_ONCE = {"cpu": 32, "cuda": 256}
"""Images in a batch: on a processor no more than what stays in its cache."""
REPORT = 10.0
"""Seconds between two lines about the progress."""


@dataclass(frozen=True)
class Extractor:
    """A frozen backbone that features were taken from. width: of them; parameters: of it; flops: for an image; seconds:
    that the features of the whole data set took, on whatever machine computed them."""

    width: int
    parameters: int
    flops: Flops
    seconds: float


def features_root() -> Path:
    """Where features are kept: $RETAIN_FEATURES, else results/features."""
    return Path(os.environ.get("RETAIN_FEATURES") or "results/features")


def prepared(
    cell: CellSettings, scenario: Scenario, method: Method, device: torch.device, empty: bool = False
) -> tuple[Scenario, ModelSettings, Extractor | None]:
    """The scenario and network that `method` is started with: normalised as the weights want and, where no more than
    features of its images is asked for, on features.

    Features stand for images where the backbone is frozen, its weights are a file's, and every image goes through it
    unchanged: no augmentation, no mixing, no method that reads or mirrors pixels, no stream that changes them.
    empty: features and weights without content, for what needs no values. Raises WeightsNotFound where the weights are not
    on this machine, ValueError where they are not the backbone's.
    """
    model = cell.model
    if not isinstance(model, TimmSettings) or (weights := model.found()) is None:
        return scenario, model, None
    if empty:
        model = model.without_weights()
    scenario = replace(scenario, normalise=Normalise(scenario.normalise.scale, weights.mean, weights.std))
    images = [getattr(scenario.tasks[0], part).images for part in ("train", "test")]
    unchanged = not any(s.pixel_map for t in scenario.tasks for s in (t.train, t.test))
    plain = not cell.training.augmentation and cell.training.mixup is None
    if not (model.frozen and unchanged and plain and all(isinstance(i, Tensor) for i in images)):
        return scenario, model, None
    if method.reads_pixels or type(method).own_network:
        return scenario, model, None
    size = scenario.image_shape
    extractor = _extractor(model, size)
    if empty:
        features = [torch.zeros(1, extractor.width, device=device).expand(len(i), extractor.width) for i in images]
    else:
        about = {
            "version": VERSION,
            "data": scenario.manifest["data_checksum"],
            "image": list(size),
            "network": model.model_dump(mode="json", include={"backbone", "checksum", "image_size"}),
            "normalise": [scenario.normalise.scale, weights.mean, weights.std],
            "precision": resolve_precision(cell.training.precision, device),
        }
        found = Features(features_root(), about)
        features = [
            found.of(part, i, model, scenario.normalise, device)
            for part, i in zip(("train", "test"), images, strict=True)
        ]
        extractor = replace(extractor, seconds=found.seconds)
    same = {name: getattr(model, name) for name in ("head", "init", "head_init")}
    return on_features(scenario, *features), IdentitySettings(backbone="identity", **same), extractor


class Features:
    """The features that `about` (plain data) decides, in a folder under `root`."""

    def __init__(self, root: Path, about: dict[str, Any]):
        text = json.dumps(about, sort_keys=True, indent=1)
        self.about, self.seconds = about, 0.0
        self.folder = root / hashlib.sha256(text.encode()).hexdigest()[:16]
        if not (self.folder / "about.json").is_file():
            write_whole(self.folder / "about.json", text + "\n")

    def of(self, part: str, images: Tensor, model: TimmSettings, normalise: Normalise, device: torch.device) -> Tensor:
        """Features float32 [N, d] of `images` (uint8), in memory; those that are not there are computed on `device`."""
        starts = range(0, len(images), PART)
        files = [self.folder / f"{part}-{start:07}.safetensors" for start in starts]
        progress = _Progress(part, len(images), sum(not f.is_file() for f in files) * PART)
        for wait in (False, True):  # first what nobody else computes, then what others did not come to
            for file, start in zip(files, starts, strict=True):
                if file.is_file():
                    continue
                with _locked(file.with_suffix(".lock"), wait) as mine:
                    if mine and not file.is_file():
                        self._compute(file, images[start : start + PART], model, normalise, device, progress)
        parts = [
            self._read(f) or self._again(f, images[s : s + PART], model, normalise, device)
            for f, s in zip(files, starts, strict=True)
        ]
        self.seconds += sum(seconds for _, seconds in parts)
        return torch.cat([features for features, _ in parts])

    def _again(
        self, file: Path, images: Tensor, model: TimmSettings, normalise: Normalise, device: torch.device
    ) -> tuple[Tensor, float]:
        """A part that is damaged, computed anew."""
        warnings.warn(f"{file} is damaged and is computed again", stacklevel=3)
        with _locked(file.with_suffix(".lock"), True):
            if (read := self._read(file)) is None:
                file.unlink(missing_ok=True)
                progress = _Progress(file.stem, len(images), len(images))
                self._compute(file, images, model, normalise, device, progress)
                read = self._read(file)
        if read is None:
            raise OSError(f"{file} cannot be read back after it was written: look at the disk")
        return read

    def _compute(
        self,
        file: Path,
        images: Tensor,
        model: TimmSettings,
        normalise: Normalise,
        device: torch.device,
        progress: _Progress,
    ) -> None:
        start = time.perf_counter()
        features = extract(
            _backbone(model, tuple(images.shape[1:])), images, normalise, device, self.about["precision"]
        )
        seconds = time.perf_counter() - start
        with written_whole(file) as temporary:
            save_file({"features": features}, temporary, {"checksum": _checksum(features), "seconds": f"{seconds:.3f}"})
        progress.done(len(images))

    def _read(self, file: Path) -> tuple[Tensor, float] | None:
        """Features of a part and the seconds that they took; None where they are not those that were written."""
        try:
            with safe_open(file, framework="pt") as stored:
                features, about = stored.get_tensor("features"), stored.metadata() or {}
        except (SafetensorError, OSError):
            return None
        return (features, float(about["seconds"])) if about.get("checksum") == _checksum(features) else None


@torch.no_grad()
def extract(backbone: nn.Module, images: Tensor, normalise: Normalise, device: torch.device, precision: Any) -> Tensor:
    """Features float32 [N, d], on the processor, of uint8 images [N, C, H, W], in batches."""
    backbone = backbone.to(device).eval()
    layout = torch.channels_last  # faster, and safe where there is no backward pass (models/memory_format.py)
    backbone = backbone.to(memory_format=layout)
    features = []
    for batch in images.split(AT_ONCE.get(device.type, AT_ONCE["cuda"])):
        with autocast(precision, device):
            x = normalise(batch.to(device)).contiguous(memory_format=layout)
            features.append(backbone(x).float().cpu())
    return torch.cat(features)


@lru_cache(maxsize=1)
def _backbone(model: TimmSettings, image_shape: tuple[int, int, int]) -> nn.Module:
    return model.build(image_shape)


@lru_cache(maxsize=4)
def _extractor(model: TimmSettings, image_shape: tuple[int, int, int]) -> Extractor:
    backbone = model.without_weights().build(image_shape).eval()
    flops = count_flops(lambda: backbone(torch.zeros(1, *image_shape)))
    parameters = sum(p.numel() for p in backbone.parameters())
    return Extractor(int(backbone.features), parameters, flops, 0.0)  # type: ignore[arg-type]


def _checksum(features: Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()


@contextmanager
def _locked(path: Path, wait: bool) -> Iterator[bool]:
    """Whether this process alone holds the lock `path`; the system frees it when its holder ends, however it does."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


class _Progress:
    """Says on the standard error stream how far the images of a part are, every few seconds."""

    def __init__(self, part: str, total: int, missing: int):
        self.part, self.missing = part, min(missing, total)
        self.computed, self.started, self.said = 0, time.perf_counter(), 0.0

    def done(self, images: int) -> None:
        self.computed += images
        now = time.perf_counter()
        if now - self.said < REPORT and self.computed < self.missing:
            return
        self.said, rate = now, self.computed / (now - self.started)
        left = max(0, self.missing - self.computed) / rate
        print(
            f"features of {self.part} images: {self.computed:,} of {self.missing:,}, {rate:.0f} a second, "
            f"{left / 60:.0f} minutes left",
            file=sys.stderr,
            flush=True,
        )
