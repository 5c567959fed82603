"""A stream with validation: part of the training images in place of the test images, which nobody reads."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
import torch

from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.source import source_of_cell
from scenarios import Permuted, Rotated, Split, load_dataset, own_data
from scenarios.validation import held_out, with_validation
from tests.scenarios.trees import photo_tree


def cells(*changes: str, scenarios=("split-digits/class",)):
    return make_grid(load_suite("digits", ["er"], list(scenarios), [0], list(changes))).cells


def test_a_part_of_each_class_is_held_out_and_no_image_is_on_both_sides():
    digits = load_dataset("digits")
    held = held_out(digits, 0.1)
    before = torch.bincount(digits.train_labels)
    assert torch.equal(torch.bincount(held.test_labels), (before * 0.1).round().long())
    assert torch.equal(torch.bincount(held.test_labels) + torch.bincount(held.train_labels), before)
    sides = [
        {(image.numpy().tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
        for images, labels in ((held.train_images, held.train_labels), (held.test_images, held.test_labels))
    ]
    original = {(i.numpy().tobytes(), int(y)) for i, y in zip(digits.train_images, digits.train_labels, strict=True)}
    assert sides[0] | sides[1] == original
    assert not sides[0] & sides[1]


def test_the_test_images_and_labels_are_not_touched():
    class Poison:
        def __getattr__(self, name):
            raise AssertionError(f"a test image or label is read: {name}")

    digits = load_dataset("digits")
    held = held_out(replace(digits, test_images=Poison(), test_labels=Poison()), 0.2)
    assert torch.equal(held.test_images, held_out(digits, 0.2).test_images)


def test_a_class_of_one_image_cannot_be_divided():
    digits = load_dataset("digits")
    with pytest.raises(ValueError, match="single training image"):
        held_out(replace(digits, train_images=digits.train_images[:3], train_labels=torch.tensor([0, 0, 1])), 0.5)


@pytest.mark.parametrize(
    "stream",
    [
        Split(data="digits", setting="class", class_order="per_seed"),
        Split(data="digits", setting="task", samples_per_task=60),
        Permuted(data="digits", setting="domain", tasks=4),
        Rotated(data="digits", setting="domain", tasks=4),
    ],
)
def test_the_first_tasks_are_those_of_the_whole_stream(stream):
    settings = stream.model_dump(mode="json")
    settings = {key: value for key, value in settings.items() if key != "transform"} | {"validation": 0.1}
    cls = with_validation(type(stream))
    whole = cls.model_validate_json(json.dumps(settings)).build(3)
    first = cls.model_validate_json(json.dumps(settings | {"tasks": 2, "of_tasks": stream.tasks})).build(3)
    assert len(first.tasks) == len(first.layout.columns) == len(first.manifest["classes"]) == 2
    for own, other in zip(first.tasks, whole.tasks):
        assert own.classes == other.classes
        assert own.outputs == other.outputs
        assert torch.equal(own.train.examples().images, other.train.examples().images)
        assert torch.equal(own.test.examples().images, other.test.examples().images)


def test_a_cell_with_validation_is_another_cell_and_brings_its_source():
    (plain,), (validated,) = cells(), cells("scenario.validation=0.1")
    assert plain.identity == "".join(cells("scenario.validation=null")[0].identity)
    assert validated.identity != plain.identity
    assert validated.scenario.validation == 0.1
    assert "scenarios/validation.py" not in source_of_cell(plain)
    assert source_of_cell(validated) == source_of_cell(plain) | {
        "scenarios/validation.py": source_of_cell(validated)["scenarios/validation.py"]
    }


def test_a_cell_with_validation_reaches_a_worker_whole():
    (cell,) = cells("scenario.validation=0.1", "scenario.tasks=2", "scenario.of_tasks=5")
    received = pickle.loads(pickle.dumps(cell))
    assert received.scenario == cell.scenario
    assert received.identity == cell.identity
    assert len(received.scenario.build(0).tasks) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("scenario.validation=1.5", "validation: Input should be less than 1"),
        ("scenario.validaton=0.1", "did you mean 'validation'?"),
        ("scenario.of_tasks=5", "validation: Field required"),
    ],
)
def test_what_is_wrong_is_said(change, said):
    with pytest.raises(SettingsError, match="split-digits/class") as error:
        cells(change)
    assert said in str(error.value)


def test_fewer_tasks_than_the_first_ones_are_refused():
    with pytest.raises(SettingsError, match="of_tasks: 3 is less than tasks: 5"):
        cells("scenario.validation=0.1", "scenario.of_tasks=3")


def test_of_image_files_those_held_out_are_training_files(tmp_path, monkeypatch):
    photo_tree(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    stream = with_validation(Split).model_validate_json(
        '{"data": "folder:photos", "setting": "class", "tasks": 2, "validation": 0.3, "transform": {"image_size": 16}}'
    )
    scenario = stream.build(0, tmp_path)
    for task in scenario.tasks:
        train, test = task.train.examples().images, task.test.examples().images
        names = [[str(path) for path in images.files.paths[images.rows]] for images in (train, test)]
        assert [len(own) for own in names] == [8, 4]
        assert not set(names[0]) & set(names[1])
        assert all("train" in path for own in names for path in own)


def test_own_data_stay_own(tmp_path):
    digits = load_dataset("digits")
    own = own_data((digits.train_images, digits.train_labels), (digits.test_images, digits.test_labels))
    held = held_out(own, 0.1)
    assert type(held) is type(own)
    assert held.checksum != own.checksum
    assert len(held.train_labels) + len(held.test_labels) == len(own.train_labels)
