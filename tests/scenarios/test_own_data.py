"""Data of one's own: what is taken, what is refused and how that is said, and what decides its identity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from scenarios import DataNotFound, Given, Permuted, Split, own_data
from scenarios.arrays import load, save
from scenarios.own_names import is_own, with_checksum, without_folder

RNG = np.random.default_rng(0)


def arrays(n: int = 12, classes: int = 3, shape: tuple[int, ...] = (8, 6, 3), first: int = 0):
    labels = np.arange(n) % classes + first
    return RNG.integers(0, 256, (n, *shape), dtype=np.uint8), labels


def refused(*data, **more) -> str:
    with pytest.raises(ValueError, match=r"\S") as error:
        own_data(*data, **more)
    return str(error.value)


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, k):
        return self.items[k]


@pytest.mark.parametrize(
    ("shape", "held"),
    [((8, 6, 3), (3, 8, 6)), ((3, 8, 6), (3, 8, 6)), ((8, 6), (1, 8, 6)), ((7,), (7, 1, 1)), ((8, 6, 1), (1, 8, 6))],
)
def test_shapes_that_are_taken(shape, held):
    (x, y), test = arrays(shape=shape), arrays(shape=shape)
    data = own_data((x, y), test)
    assert tuple(data.train_images.shape[1:]) == held
    if shape == (8, 6, 3):
        assert torch.equal(data.train_images, torch.from_numpy(x).permute(0, 3, 1, 2))


def test_arrays_tensors_and_datasets_are_the_same_data():
    (x, y), (tx, ty) = arrays(), arrays()
    first = own_data((x, y), (tx, ty))
    chw = [torch.from_numpy(a).permute(0, 3, 1, 2) for a in (x, tx)]
    others = {
        "tensors": [(chw[0], torch.from_numpy(y)), (chw[1], torch.from_numpy(ty))],
        "TensorDataset": [TensorDataset(chw[0], torch.from_numpy(y)), TensorDataset(chw[1], torch.from_numpy(ty))],
        "PIL": [Items([(Image.fromarray(i), int(c)) for i, c in zip(a, b)]) for a, b in ((x, y), (tx, ty))],
        "ToTensor": [Items([(i.float() / 255, int(c)) for i, c in zip(a, b)]) for a, b in zip(chw, (y, ty))],
        "names": [(x, np.array(["a", "b", "c"])[y]), (tx, np.array(["a", "b", "c"])[ty])],
    }
    for name, (train, test) in others.items():
        assert own_data(train, test).checksum == first.checksum, name
    assert own_data(*others["names"]).class_names == ("a", "b", "c")
    assert own_data((x, y), (tx, ty), classes=["p", "q", "r"]).class_names == ("p", "q", "r")
    assert own_data(*others["names"], classes=["c", "b", "a"]).train_labels.tolist() == (2 - y).tolist()


def test_normalisation_is_of_the_training_images_alone():
    (x, y), (tx, ty) = arrays(), arrays()
    data = own_data((x, y), (tx, ty))
    pixels = x.reshape(-1, 3) / 255
    assert data.mean == pytest.approx(pixels.mean(0), abs=1e-5)
    assert data.std == pytest.approx(pixels.std(0), abs=1e-5)
    assert own_data((x, y), (255 - tx, ty)).mean == data.mean
    given = own_data((x, y), (tx, ty), mean=0.5, std=[0.1, 0.2, 0.3])
    assert (given.mean, given.std) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    constant = x.copy()
    constant[..., 1] = 7
    assert own_data((constant, y), (tx, ty)).std[1] == 1.0


def test_floating_point_is_left_as_it_is_by_a_batch():
    x, y = RNG.normal(size=(12, 5)).astype(np.float32), np.arange(12) % 4
    data = own_data((x, y), (x, y))
    scenario = Split(data="own", setting="class", tasks=2).of(data)
    images = scenario.tasks[0].train.examples().images
    before = images.clone()
    normalised = scenario.normalise(images)
    assert torch.equal(images, before)
    assert normalised.dtype == torch.float32
    assert torch.cat([scenario.normalise(t.train.examples().images) for t in scenario.tasks]).mean(0).abs().max() < 1e-5


def test_images_are_resized():
    pictures = [(Image.fromarray(RNG.integers(0, 256, (9 + k, 7, 3), dtype=np.uint8)), k % 2) for k in range(6)]
    assert "differ in shape" in refused(Items(pictures), Items(pictures))
    assert own_data(Items(pictures), Items(pictures), image_size=8).train_images.shape == (6, 3, 8, 8)
    assert own_data(arrays(), arrays(), image_size=4).test_images.shape == (12, 3, 4, 4)


X, Y = arrays()
WRONG = {
    "images are int64": ((X.astype(int), Y), (X, Y)),
    "12 images and 11 labels": ((X, Y[:-1]), (X, Y)),
    "dtype float64; give whole numbers": ((X, Y + 0.5), (X, Y)),
    "labels.argmax(1)": ((X, np.eye(3)[Y]), (X, Y)),
    "a label -1": ((X, Y - 1), (X, Y)),
    "class 2 has test images and no training images": ((X[Y < 2], Y[Y < 2]), (X, Y)),
    "class 2 has training images and no test images": ((X, Y), (X[Y < 2], Y[Y < 2])),
    "without gaps": ((X, Y * 2), (X, Y * 2)),
    "train: no images": ((X[:0], Y[:0]), (X, Y)),
    "train, task 2: no images": ([(X, Y), (X[:0], Y[:0])], [(X, Y), (X, Y)]),
    "(3, 8, 6) in train; uint8 of shape (3, 5, 6) in test": ((X, Y), (X[:, :5], Y)),
    "1 of 12 images hold NaN": ((np.where(np.arange(12)[:, None] == 3, np.nan, 1.0), Y), (X, Y)),
    "train is a list of 2, test is one data set": ([(X, Y), (X, Y)], (X, Y)),
    "some labels are names and others numbers": ((X, Y.astype(str)), (X, Y)),
    "list; give a numpy array": (([1, 2], Y), (X, Y)),
    "a tuple of 3": ((X, Y, X), (X, Y)),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_cannot_be_used_is_refused_with_what_to_do(said):
    assert said in refused(*WRONG[said])


def test_all_that_is_wrong_is_said_at_once():
    lines = refused((X.astype(int), Y), (X, Y[:-1])).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["train", "test"]
    assert "std is given" not in refused((X, Y), (X, Y), mean=0.5)
    assert "mean is given alone" in refused((X, Y), (X, Y), mean=0.5)
    assert "2 numbers for images of 3 channels" in refused((X, Y), (X, Y), mean=[0, 0], std=1)
    assert "label 2, and classes names 2" in refused((X, Y), (X, Y), classes=["a", "b"])


# ---- one data set a task -------------------------------------------------------------------------------------------


def test_tasks_as_they_came():
    train, test = [arrays(), arrays(first=3)], [arrays(6), arrays(6, first=3)]
    data = own_data(train, test)
    for setting, labels in (
        ("class", [[0, 1, 2], [3, 4, 5]]),
        ("domain", [[0, 1, 2]] * 2),
        ("task", [[0, 1, 2], [3, 4, 5]]),
    ):
        scenario = Given(data="own", setting=setting, tasks=2).of(data)
        for task, (x, _), own in zip(scenario.tasks, train, labels, strict=True):
            examples = task.train.examples()
            assert torch.equal(examples.images, torch.from_numpy(x).permute(0, 3, 1, 2))
            assert examples.labels.unique().tolist() == own
            assert len(task.test) == 6
    with pytest.raises(ValueError, match="tasks: 2"):
        Given(data="own", setting="class", tasks=3).of(data)
    with pytest.raises(ValueError, match="use stream: split"):
        Given(data="own", setting="class", tasks=2).of(own_data(train[0], test[0]))


def test_classes_that_tasks_share():
    same = own_data([arrays(), arrays()], [arrays(), arrays()])
    scenario = Given(data="own", setting="domain", tasks=2).of(same)
    assert [task.train.labels.unique().tolist() for task in scenario.tasks] == [[0, 1, 2]] * 2
    with pytest.raises(ValueError, match="class 0 is in more than one task"):
        Given(data="own", setting="class", tasks=2).of(same)
    some = own_data([arrays(), arrays(first=1)], [arrays(), arrays(first=1)])
    with pytest.raises(ValueError, match="share some classes and not others"):
        Given(data="own", setting="domain", tasks=2).of(some)


# ---- files and names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [False, True])
def test_a_file_holds_the_same_data(tmp_path, tasks):
    data = own_data([arrays(), arrays(first=3)], [arrays(), arrays(first=3)]) if tasks else own_data(arrays(), arrays())
    again = load(save(data, tmp_path / "mine.npz"))
    assert again.checksum == data.checksum
    assert (again.tasks, again.given_labels, again.class_names) == (data.tasks, data.given_labels, data.class_names)


def test_files_of_numpy_and_keras(tmp_path):
    (x, y), (tx, ty) = arrays(), arrays()
    np.savez(tmp_path / "a.npz", train_images=x, train_labels=y, test_images=tx, test_labels=ty)
    np.savez(tmp_path / "b.npz", x_train=x, y_train=y, x_test=tx, y_test=ty)
    assert load(tmp_path / "a.npz").checksum == load(tmp_path / "b.npz").checksum == own_data((x, y), (tx, ty)).checksum
    np.savez(tmp_path / "c.npz", train_images=x, labels=y)
    with pytest.raises(ValueError, match=r"lacks train_labels, test_images, test_labels and has labels"):
        load(tmp_path / "c.npz")
    (tmp_path / "d.npz").write_text("no arrays")
    with pytest.raises(ValueError, match=r"no \.npz file"):
        load(tmp_path / "d.npz")


SUITE = """
title: Mine
seeds: 1
scenarios: {s: {stream: split, data: "npz:FILE", setting: class, tasks: 3}}
methods: [finetune]
model: {backbone: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 4, optimizer: {name: sgd, lr: 0.1}}
"""


def cell_of(folder, file):
    (folder / "mine.yaml").write_text(SUITE.replace("FILE", str(file)))
    (cell,) = make_grid(load_suite(str(folder / "mine.yaml"))).cells
    return cell


def test_data_decide_the_identity_and_their_place_does_not(tmp_path):
    data = own_data(arrays(), arrays())
    one = cell_of(tmp_path, save(data, tmp_path / "mine.npz"))
    moved = cell_of(tmp_path, save(data, tmp_path / "elsewhere" / "mine.npz"))
    other = cell_of(tmp_path, save(own_data(arrays(), arrays()), tmp_path / "mine.npz"))
    assert one.identity == moved.identity != other.identity
    assert one.identity_settings()["scenario"]["data"] == f"npz:mine.npz@{data.checksum}"
    assert other.scenario.build(0).manifest["data_checksum"] == other.scenario.data[-16:]
    with pytest.raises(DataNotFound, match="have changed"):
        one.scenario.build(0)


def test_a_cell_knows_its_data_where_it_is_received(tmp_path):
    import pickle

    from scenarios import DATASETS

    cell = cell_of(tmp_path, save(own_data(arrays(), arrays()), tmp_path / "mine.npz"))
    sent = pickle.dumps(cell)
    del DATASETS[cell.scenario.data]
    assert len(pickle.loads(sent).scenario.build(0).tasks) == 3


def test_names_of_data():
    assert is_own("npz:a/b.npz")
    assert is_own("hf:user/name")
    assert not is_own("digits")
    assert not is_own("npz:")
    assert without_folder("npz:a/b.npz@0123456789abcdef") == "npz:b.npz@0123456789abcdef"
    assert without_folder("mnist") == "mnist"
    with pytest.raises(DataNotFound, match="not found: looked for"):
        with_checksum("npz:nowhere.npz")


def test_pixels_may_be_permuted():
    data = own_data(arrays(), arrays())
    scenario = Permuted(data="own", setting="domain", tasks=2).of(data)
    one, other = (task.train.examples().images for task in scenario.tasks)
    assert not torch.equal(one, other)
    assert torch.equal(one.flatten(1).sort().values, other.flatten(1).sort().values)
