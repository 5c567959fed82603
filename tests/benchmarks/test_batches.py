"""What no batch can be made of is said before anything is trained."""

import pytest
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.cost.rehearse import rehearse
from benchmarks.request.errors import SettingsError
from tests.benchmarks.helpers import cells

RESNET = ["model.backbone=resnet18", "model.width=0.1"]


def said(*methods: str, changes: list[str]) -> list[str]:
    try:
        rehearse(cells(*methods, changes=["scenario.tasks=2", "scenario.samples_per_task=33", *changes]), None)
    except SettingsError as error:
        return error.problems
    return []


def test_a_last_batch_of_one_under_batch_normalisation():
    """32 + 1 images a task, on maps that end as one pixel. What er replays beside the one makes it two."""
    (problem,) = said("finetune", "er", changes=[*RESNET, "training.batch_size=32"])
    assert problem == (
        "split-digits/class finetune: task 1 of 2: its last batch has one image, of which batch normalisation would see "
        "a single value; training.drop_last: true, or another batch_size"
    )
    assert not said("finetune", changes=[*RESNET, "training.batch_size=32", "training.drop_last=true"])
    assert not said("finetune", changes=[*RESNET, "training.batch_size=31"])
    assert not said("finetune", changes=["training.batch_size=32"])


def test_a_task_that_makes_no_batch():
    first = "training.first={drop_last: false}"
    (problem,) = said("finetune", changes=["training.batch_size=50", "training.drop_last=true", first])
    assert problem == (
        "split-digits/class finetune: task 2 of 2: phase 'train': 33 examples make no batch of 50 (drop_last=True); "
        "a smaller training.batch_size, or drop_last: false"
    )
    # joint has both tasks' images by then
    assert not said("joint", changes=["training.batch_size=50", "training.drop_last=true", first])


@pytest.mark.parametrize("backbone", ["resnet18", "mlp"])
def test_batches_that_are_well_are_not_looked_at(backbone, monkeypatch):
    """Where no batch can fail, nothing is taken through its tasks beforehand."""
    monkeypatch.setattr("benchmarks.cost.batches.cost_of", lambda *args: pytest.fail("looked at"))
    padded = ["scenario.padding=4", "model.width=0.1"] if backbone == "resnet18" else []
    assert not said("finetune", changes=["training.batch_size=32", f"model.backbone={backbone}", *padded])


def test_a_network_that_crops_its_images_is_refused_in_a_sentence(tmp_path):
    result = CliRunner().invoke(
        app,
        ["run", "digits", "--methods", "finetune", "--set", "model.backbone=timm:vit_tiny_patch16_224"]
        + ["--set", "scenario.padding=6", "--workers", "1", "--results-dir", str(tmp_path)],
    )
    assert isinstance(result.exception, SettingsError)
    assert "256 of an image's 400 pixels: 20 is no multiple of 16; padding: 6 makes 32" in str(result.exception)
