"""Split, permuted and rotated streams of real digits."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from scenarios import Permuted, Rotated, Split, load_dataset
from scenarios.scenario import Normalise
from scenarios.stream import _alternating


def split(**changes):
    return Split(**({"data": "digits", "setting": "class"} | changes)).build(seed=changes.pop("seed", 0))


def test_split_deals_out_every_image_once():
    scenario = split()
    data = load_dataset("digits")
    assert [t.classes for t in scenario.tasks] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert sum(len(t.train) for t in scenario.tasks) == len(data.train_labels) == 1347
    assert sum(len(t.test) for t in scenario.tasks) == len(data.test_labels) == 450
    for task in scenario.tasks:
        examples = task.train.examples()
        rows = [c in task.classes for c in data.train_labels.tolist()]
        assert torch.equal(examples.images, data.train_images[rows])
        assert torch.equal(examples.labels, data.train_labels[rows])  # natural order: columns are the classes


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_labels_are_columns_of_the_setting(setting):
    order = (7, 3, 0, 9)
    scenario = split(setting=setting, tasks=2, class_order=order)
    data = load_dataset("digits")
    for task in scenario.tasks:
        labels = task.train.examples().labels
        original = data.train_labels[task.train.rows]
        first = 0 if setting == "domain" else 2 * task.id
        assert set(labels.tolist()) == {first, first + 1}
        assert all(order[2 * task.id + c - first] == o for c, o in zip(labels.tolist(), original.tolist(), strict=True))


def test_images_are_held_once():
    scenario = split()
    assert len({t.train.images.data_ptr() for t in scenario.tasks}) == 1
    assert scenario.tasks[0].train.images.dtype == torch.uint8


def test_class_order_per_seed_changes_with_the_seed_alone():
    stream = Split(data="digits", setting="class", class_order="per_seed")
    orders = [stream.build(seed=s).manifest["class_order"] for s in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(10))


def test_a_larger_first_task():
    scenario = split(tasks=3, first_task_classes=6)
    assert [len(t.classes) for t in scenario.tasks] == [6, 2, 2]
    assert [scenario.layout.width(i) for i in range(3)] == [6, 8, 10]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"tasks": 3}, "evenly"),
        ({"tasks": 2, "class_order": (1, 1, 2, 3)}, "at most once"),
        ({"tasks": 2, "first_task_classes": 8, "setting": "domain"}, "equally many"),
        ({"data": "digitz"}, "unknown data set"),
    ],
)
def test_what_cannot_be_built_says_why(changes, match):
    with pytest.raises(ValueError, match=match):
        split(**changes)


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError):
        Split(data="digits", setting="class", angles="even")


def test_samples_per_task_are_a_seeded_subset():
    stream = Split(data="digits", setting="class", samples_per_task=20)
    a, b, c = (stream.build(seed=s).tasks[2].train.rows for s in (0, 0, 1))
    assert len(a) == 20
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_samples_are_drawn_evenly_from_the_classes():
    stream = Split(data="digits", setting="class", tasks=2, samples_per_task=23)
    for seed in range(3):
        for task in stream.build(seed=seed).tasks:
            assert sorted(task.train.labels.bincount(minlength=task.outputs.stop)[task.outputs].tolist()) == [
                4,
                4,
                5,
                5,
                5,
            ]
    odd_ones = {tuple(stream.build(seed=s).tasks[0].train.labels.bincount().tolist()) for s in range(12)}
    assert len(odd_ones) > 3  # which classes get one more is drawn


def test_a_class_that_has_too_few_gives_all_it_has():
    order, labels = torch.tensor([5, 0, 4, 2, 3, 1]), torch.tensor([0, 0, 0, 0, 0, 1])
    assert labels[_alternating(order, labels)[:4]].tolist().count(1) == 1
    assert sorted(_alternating(order, labels).tolist()) == list(range(6))


def test_classes_without_a_training_image_are_refused():
    digits = {"data": "digits", "setting": "domain", "tasks": 1}
    with pytest.raises(ValueError, match=r"samples_per_task: 12 leaves \d+ of the 10 classes.*sampling: even"):
        Split(**digits, samples_per_task=12, sampling="random").build(seed=0)
    with pytest.raises(ValueError, match="samples_per_task: 7 leaves 3 of the 10 classes of task 1 without"):
        Split(**digits, samples_per_task=7).build(seed=0)
    with pytest.raises(ValidationError, match="samples_per_task is not given"):
        Split(**digits, sampling="even")


def test_permutation_moves_pixels_and_nothing_else():
    scenario = Permuted(data="digits", setting="domain", tasks=3, first_task_plain=True).build(seed=0)
    data = load_dataset("digits")
    plain, moved, other = (t.test.examples().images for t in scenario.tasks)
    assert torch.equal(plain, data.test_images)
    assert torch.equal(moved.flatten(1).sort(1).values, plain.flatten(1).sort(1).values)
    assert not torch.equal(moved, other)
    again = Permuted(data="digits", setting="domain", tasks=3, first_task_plain=True).build(seed=0)
    assert torch.equal(again.tasks[1].test.examples().images, moved)


def test_one_permutation_a_task_for_training_and_test():
    scenario = Permuted(data="digits", setting="domain", tasks=2).build(seed=0)
    task = scenario.tasks[0]
    assert torch.equal(task.train.pixel_map.order, task.test.pixel_map.order)


def test_rotation_by_a_quarter_turn_is_exact():
    scenario = Rotated(data="digits", setting="domain", tasks=4, max_angle=360).build(seed=0)
    assert scenario.manifest["angles"] == [0, 90, 180, 270]
    upright, quarter, half, _ = (t.test.examples().images for t in scenario.tasks)
    assert torch.equal(quarter, upright.rot90(1, (2, 3)))
    assert torch.equal(half, upright.rot90(2, (2, 3)))


def test_drawn_and_binned_angles():
    drawn = Rotated(data="digits", setting="domain", tasks=20, angles="drawn").build(seed=0).manifest["angles"]
    assert 0 <= min(drawn) < max(drawn) < 180
    assert drawn != sorted(drawn)
    binned = Rotated(data="digits", setting="domain", tasks=20, angles="binned").build(seed=0).manifest["angles"]
    assert all(9 * t <= a < 9 * (t + 1) for t, a in enumerate(binned))


def test_padding_and_normalisation():
    scenario = split(padding=2, normalisation={"mean": 0.1, "std": 0.5})
    assert scenario.image_shape == (1, 12, 12)
    images = scenario.tasks[0].train.examples().images
    assert int(images[:, :, :2].sum()) == 0
    expected = (images.double() / 16 - 0.1) / 0.5
    np.testing.assert_allclose(scenario.normalise(images).numpy(), expected.numpy(), atol=1e-6)


def test_dataset_normalisation_gives_zero_mean_and_unit_deviation():
    data = load_dataset("digits")
    x = Normalise(data.scale, data.mean, data.std)(data.train_images)
    assert abs(float(x.mean())) < 1e-3
    assert abs(float(x.std()) - 1) < 1e-3


def test_normalise_per_channel():
    images = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8)
    x = Normalise(255.0, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))(images)
    torch.testing.assert_close(x[:, 1], (images[:, 1] / 255 - 0.2) / 0.6)


def test_real_mnist_is_the_official_one(data_root):
    data = load_dataset("mnist", data_root)
    assert data.train_images.shape == (60000, 1, 28, 28)
    assert data.test_images.shape == (10000, 1, 28, 28)
    assert torch.bincount(data.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    x = Normalise(data.scale, data.mean, data.std)(data.train_images)
    assert abs(float(x.mean())) < 1e-3
    assert abs(float(x.std()) - 1) < 1e-3
