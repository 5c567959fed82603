"""`data`: what it says of a data set, the images that are there twice, the picture of it."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.cli.data_sets import check_data
from benchmarks.request.errors import SettingsError
from scenarios import load_dataset, own_data
from scenarios.arrays import save
from scenarios.duplicates import across, duplicates, of_two_classes
from tests.scenarios.trees import photo_tree

RNG = np.random.default_rng(0)


def told(tmp_path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["data", *words, "--results-dir", str(tmp_path / "results")])
    return done.exit_code, done.output


def images(n: int):
    return RNG.integers(0, 256, (n, 5, 5), dtype=np.uint8), np.arange(n) % 3


def test_equal_images_are_found_and_no_others():
    (x, y), (tx, ty) = images(30), images(9)
    x[12] = x[3]  # of one class
    x[7] = x[20] = x[29]  # classes 1, 2 and 2
    tx[5] = x[9]  # classes 2 and 0
    tx[0] = tx[3]
    groups = duplicates(own_data((x, y), (tx, ty)))
    found = [[(part, row) for part, row, _ in group.images] for group in groups]
    assert sorted(found) == [
        [("test", 0), ("test", 3)],
        [("train", 3), ("train", 12)],
        [("train", 7), ("train", 20), ("train", 29)],
        [("train", 9), ("test", 5)],
    ]
    assert [len(chosen(groups)) for chosen in (of_two_classes, across)] == [2, 1]
    assert duplicates(own_data(images(30), images(9))) == []


def test_equal_files_are_found(tmp_path):
    tree = photo_tree(tmp_path / "tree")
    shutil.copy(tree / "train/n01/0.JPEG", tree / "train/n02/copy.JPEG")
    shutil.copy(tree / "train/n03/1.JPEG", tree / "val/n03/copy.JPEG")
    code, text = told(tmp_path, "folder:tree", "--data-root", str(tmp_path))
    assert code == 0
    assert (
        "2 groups, 1 within training, 0 within test, 1 between training and test; 1 under more than one class" in text
    )
    assert "train/n01/0.JPEG = train/n02/copy.JPEG" in text
    assert "train/n03/1.JPEG = val/n03/copy.JPEG" in text
    sheet = Image.open(tmp_path / "results" / "data" / "tree.png")
    assert sheet.height > 4 * 64
    assert len(sheet.getcolors(10**6)) > 1000


def test_a_tree_with_train_and_test_is_told_what_to_do(tmp_path):
    tree = photo_tree(tmp_path / "tree")
    (tree / "val").rename(tree / "test")
    code, text = told(tmp_path, "folder:tree", "--data-root", str(tmp_path))
    assert code == 1
    command = f"ln -s test {tree / 'val'}"
    assert command in text.replace("\n", " ")
    subprocess.run(shlex.split(command), check=True)
    code, text = told(tmp_path, "folder:tree", "--data-root", str(tmp_path))
    assert (code, "each class: 6 training and 3 test images" in text) == (0, True)


def test_broken_files_are_named(tmp_path):
    tree = photo_tree(tmp_path / "tree")
    code, text = told(tmp_path, "folder:tree", "--data-root", str(tmp_path), "--decode")
    assert (code, "all 36 files can be decoded" in text) == (0, True)
    broken = tree / "val/n04/2.JPEG"
    broken.write_bytes(broken.read_bytes()[:300])
    code, text = told(tmp_path, "folder:tree", "--data-root", str(tmp_path), "--decode")
    assert code == 1
    assert str(broken) in text.replace("\n", "")
    assert "1 of 36 files cannot be decoded" in text


def test_shapes_counts_and_tasks(tmp_path):
    data = own_data([images(31), images(12)], [images(6), images(6)], classes=["ant", "bee", "cat"])
    code, text = told(tmp_path, f"npz:{save(data, tmp_path / 'mine.npz')}")
    assert code == 0
    assert "uint8, 1 x 5 x 5; mean of pixels / 255" in text
    assert "task 1, class ant: 11 training and 2 test images" in text
    assert "task 1, class cat: 10 training and 2 test images" in text
    assert "task 2, each class: 4 training and 2 test images" in text
    sheet = np.asarray(Image.open(tmp_path / "results" / "data" / "mine.npz.png"))
    first = data.train_images[0, 0].repeat_interleave(6, 0).repeat_interleave(6, 1)  # 5 pixels shown on 32
    assert abs(sheet[0:32, 110:142, 0].mean() - first.float().mean().item()) < 12


def test_vectors_have_no_pictures(tmp_path):
    x, y = RNG.normal(size=(9, 4)), np.arange(9) % 3
    code, text = told(tmp_path, f"npz:{save(own_data((x, y), (x, y)), tmp_path / 'v.npz')}")
    assert code == 0
    assert "vectors, of which there are no pictures" in text
    assert "9 groups, 0 within training, 0 within test, 9 between training and test" in text


def test_what_is_wrong_with_a_file_is_said(tmp_path):
    np.savez(
        tmp_path / "bad.npz", x_train=np.ones((3, 4), int), y_train=[0, 1, 2], x_test=np.ones((2, 4)), y_test=[0, 1]
    )
    code, text = told(tmp_path, f"npz:{tmp_path / 'bad.npz'}")
    assert code == 1
    assert "train: images are int64" in text
    code, text = told(tmp_path, "npz:nowhere.npz")
    assert (code, "Give its path, or set DATA_ROOT" in text.replace("\n", " ")) == (1, True)
    with pytest.raises(SettingsError, match=r"unknown data set 'digtis'.*digits.*npz:FILE, folder:NAME, hf:NAME"):
        list(check_data(["digtis"], None, False))


def test_hugging_face_is_asked_for_what_is_there_and_nothing_else(tmp_path, monkeypatch):
    code, text = told(tmp_path, "hf:nobody/nothing", "--data-root", str(tmp_path))
    assert code == 1
    try:
        import datasets
    except ImportError:
        assert "pip install datasets" in text
        pytest.skip("Hugging Face's datasets are not installed")
    assert "datasets.load_dataset('nobody/nothing').save_to_disk('data/nobody/nothing')" in text.replace("\n", "")
    features = datasets.Features({"pic": datasets.Image(), "kind": datasets.ClassLabel(names=["ant", "bee", "cat"])})
    parts = {}
    for part, (x, y) in {"train": images(12), "test": images(6)}.items():
        rows = {"pic": [Image.fromarray(i) for i in x], "kind": y.tolist()}
        parts[part] = datasets.Dataset.from_dict(rows, features=features)
        parts[f"{part} arrays"] = x
    whole = datasets.DatasetDict({part: parts[part] for part in ("train", "test")})
    whole.save_to_disk(str(tmp_path / "mine"))
    code, text = told(tmp_path, "hf:mine", "--data-root", str(tmp_path))
    assert (code, "each class: 4 training and 2 test images" in text) == (0, True), text
    data = load_dataset("hf:mine", tmp_path)
    assert data.class_names == ("ant", "bee", "cat")
    assert np.array_equal(data.train_images[:, 0].numpy(), parts["train arrays"])
