"""A small real data set with three channels, and a tiny network with weights in a file, for tests of pretrained backbones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.request.suite import CellSettings, MethodSettings, Resolved
from methods import METHODS, OptimizerSettings, Recipe
from models import ModelSettings, model_settings
from scenarios import Split, datasets

NETWORK = "test_efficientnet"


def add_coloured_digits(monkeypatch) -> None:
    """Makes "coloured-digits" a data set: scikit-learn's digits as grey in colour."""

    def load(roots):
        plain = datasets.DATASETS["digits"](roots)
        images = {n: getattr(plain, n).expand(-1, 3, -1, -1).contiguous() for n in ("train_images", "test_images")}
        return replace(plain, name="coloured-digits", mean=plain.mean * 3, std=plain.std * 3, **images)

    monkeypatch.setitem(datasets.DATASETS, "coloured-digits", load)


def weights_file(folder: Path, seed: int = 0) -> Path:
    """Weights of NETWORK, drawn at random, as a file that timm could have published."""
    import timm

    torch.manual_seed(seed)
    path = folder / f"weights-{seed}.safetensors"
    save_file(timm.create_model(NETWORK, pretrained=False).state_dict(), path)
    return path


def frozen_model(weights: Path, **changes: Any) -> ModelSettings:
    settings = {"backbone": f"timm:{NETWORK}", "weights": str(weights), "image_size": 32, "frozen": True}
    return model_settings(settings | changes)


def cell_of(
    method: str, model: ModelSettings, seed: int = 0, tasks: int = 5, training: Recipe | None = None, **settings
):
    """A cell of `method` on coloured digits, 40 training images a task."""
    cls = METHODS[method]
    recipe = Recipe(epochs=1, batch_size=20, optimizer=OptimizerSettings(lr=0.05))
    stream = Split(data="coloured-digits", setting="class", tasks=tasks, samples_per_task=40, class_order="per_seed")
    resolved = Resolved.of(
        stream,
        MethodSettings(name=method, version=cls.version, settings=cls.from_settings(settings).hyperparameters()),
        model,
        training or recipe,
    )
    return CellSettings("coloured-digits/class", method, resolved, seed)
