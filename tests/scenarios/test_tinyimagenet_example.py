"""examples/tinyimagenet100.py makes, of the official layout of Tiny-ImageNet, the tree that the suite reads."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from scenarios.folders import CLASS_LISTS, load_tree, read_classes

SCRIPT = Path(__file__).parents[2] / "examples/tinyimagenet100.py"
CLASSES = read_classes(CLASS_LISTS, "tinyimagenet100_wnids")
OTHER = "n99999999"
"""A class of the other half."""


def lay_out(*places: Path):
    return subprocess.run([sys.executable, SCRIPT, *places], capture_output=True, text=True)


@pytest.fixture
def official(tmp_path):
    """Two training images and one validation image a class, where the archive has them; the shade tells the class."""
    root, lines = tmp_path / "tiny-imagenet-200", []
    (root / "val/images").mkdir(parents=True)
    for shade, wnid in enumerate([*CLASSES, OTHER]):
        (root / "train" / wnid / "images").mkdir(parents=True)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t62\t62\n")
        for k in range(2):
            Image.new("L", (64, 64), shade).save(root / "train" / wnid / "images" / f"{wnid}_{k}.JPEG")
        Image.new("L", (64, 64), shade).save(root / "val/images" / f"val_{500 - shade}.JPEG")
        lines.append(f"val_{500 - shade}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (root / "val/val_annotations.txt").write_text("".join(reversed(lines)))
    return root


def test_the_half_is_laid_out_with_each_image_under_its_class(official, tmp_path):
    ended = lay_out(official, tmp_path / "tinyimagenet100")
    assert ended.returncode == 0, ended.stderr
    data = load_tree("folder:tinyimagenet100", [tmp_path / "tinyimagenet100"])
    assert len(CLASSES) == data.n_classes == 100
    assert len(data.train_labels) == 200
    assert len(data.test_labels) == 100
    found = tmp_path / "tinyimagenet100"
    assert not (found / "train" / OTHER).exists()
    for shade, wnid in enumerate(CLASSES):
        files = [*(found / "train" / wnid).iterdir(), *(found / "val" / wnid).iterdir()]
        assert [Image.open(file).getpixel((0, 0)) for file in files] == [shade] * 3


def test_what_is_no_tiny_imagenet_or_would_be_overwritten_is_refused(official, tmp_path):
    assert "is it the unpacked tiny-imagenet-200?" in lay_out(tmp_path, tmp_path / "new").stderr
    (tmp_path / "old").mkdir()
    ended = lay_out(official, tmp_path / "old")
    assert ended.returncode == 2
    assert "is there already" in ended.stderr
    assert not any((tmp_path / "old").iterdir())
