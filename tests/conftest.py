"""Shared fixtures: one torch thread, small real scenarios, and the real data sets where they are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from methods import METHODS, Method, OptimizerSettings, Recipe
from models import MLPSettings, ModelSettings, model_settings
from scenarios import Permuted, Scenario, Split


@pytest.fixture(autouse=True)
def _features_where_they_belong(monkeypatch):
    monkeypatch.setenv("RETAIN_FEATURES", "")  # as if not set; what a command sets ends with the test


torch.set_num_threads(1)

SMALL_MODEL = MLPSettings(hidden=(16,))
SMALL_TRANSFORMER = {"dim": 24, "heads": 3, "depth": 1}
SMALL_VIT = model_settings({"backbone": "timm:test_vit", "image_size": 32, "init": "xavier"})
SHORT = Recipe(epochs=5, batch_size=10, optimizer=OptimizerSettings(lr=0.05, momentum=0.9))
SETTINGS = ("task", "domain", "class")


def small_model(method: str | type[Method], **changes) -> ModelSettings:
    """SMALL_MODEL, or a small transformer for a method that trains only these; `changes` are of a growing one's."""
    backbones = (METHODS[method] if isinstance(method, str) else method).backbones
    if "mlp" in backbones:
        return SMALL_MODEL
    if backbones[0] == "timm":
        return SMALL_VIT
    return model_settings({"backbone": backbones[0], **SMALL_TRANSFORMER, **changes})


def small_split(setting: str, **changes) -> Scenario:
    """Split digits, 40 training images a task."""
    settings = {"data": "digits", "setting": setting, "samples_per_task": 40}
    return Split(**(settings | changes)).build(seed=0)


def small_permuted(**changes) -> Scenario:
    return Permuted(**({"data": "digits", "setting": "domain", "tasks": 3, "samples_per_task": 40} | changes)).build(
        seed=0
    )


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The real data sets; tests that need them are skipped with the reason where there are none."""
    root = Path(os.environ.get("DATA_ROOT") or "data")
    if not (root / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip(f"no MNIST under {root.absolute()}: set DATA_ROOT to a torchvision root that has it")
    return root
