"""Trees of image files: what is found, and what is wrong with them, before training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from scenarios import DataNotFound, ImageFiles, Permuted, Split, load_dataset
from scenarios.folders import CLASS_LISTS, load_tree, read_classes
from tests.scenarios.trees import SIZES, photo_tree


@pytest.fixture
def tree(tmp_path) -> Path:
    return photo_tree(tmp_path / "photos")


def load(tree: Path):
    return load_tree("photos", [tree])


def test_labels_follow_the_sorted_folders_and_files_their_names(tree):
    dataset = load(tree)
    assert dataset.n_classes == 4
    assert dataset.train_labels.tolist() == [k for k in range(4) for _ in range(SIZES["train"])]
    assert len(dataset.test_images) == 4 * SIZES["val"]
    assert dataset.train_images.path(0) == tree / "train/n01/0.JPEG"
    assert dataset.test_images.path(5) == tree / "val/n02/2.JPEG"
    assert dataset.train_images.nbytes == sum(p.stat().st_size for p in (tree / "train").rglob("*.JPEG"))


def test_a_class_list_in_the_tree_chooses_and_orders_the_classes(tree):
    (tree / "classes.txt").write_text("n03\tthird thing\nn01 first\n")
    dataset = load(tree)
    assert dataset.n_classes == 2
    assert dataset.train_images.path(0) == tree / "train/n03/0.JPEG"
    (tree / "classes.txt").write_text("n03\nn01\nn03\n")
    with pytest.raises(DataNotFound, match="names n03 more than once"):
        load(tree)


def test_everything_wrong_is_said_at_once_with_its_file(tree):
    shutil.rmtree(tree / "val/n02")
    for path in (tree / "train/n03").iterdir():
        path.unlink()
    (tree / "train/n03/notes.txt").write_text("moved")
    (tree / "train/n01/2.JPEG").write_bytes(b"")
    with pytest.raises(DataNotFound) as error:
        load(tree)
    message = str(error.value)
    assert f"missing class folder {tree / 'val/n02'}" in message
    assert f"empty class: no image in {tree / 'train/n03'} (1 other files" in message
    assert f"empty file {tree / 'train/n01/2.JPEG'}" in message


def test_a_missing_part_or_tree_is_named(tree, tmp_path):
    shutil.rmtree(tree / "val")
    with pytest.raises(DataNotFound, match=f"missing folder {tree / 'val'}"):
        load(tree)
    with pytest.raises(DataNotFound, match=r"looked for .*nowhere/train.*Set DATA_ROOT"):
        load_dataset("folder:nowhere", tmp_path)


def test_files_that_are_no_images_and_hidden_ones_are_passed_over(tree):
    before = len(load(tree).train_images)
    (tree / "train/n01/boxes.txt").write_text("0 0 1 1")
    (tree / "train/n01/.hidden.JPEG").write_bytes(b"x")
    (tree / "train/.cache").mkdir()
    assert len(load(tree).train_images) == before


def test_images_in_folders_below_a_class_are_found(tree):
    (tree / "train/n01/images").mkdir()
    shutil.move(tree / "train/n01/0.JPEG", tree / "train/n01/images/0.JPEG")
    assert len(load(tree).train_images) == 4 * SIZES["train"]


def test_a_class_that_is_only_in_the_test_part_is_named(tree):
    shutil.copytree(tree / "val/n01", tree / "val/n05")
    with pytest.raises(DataNotFound, match=r"val/ has classes that train/ has not: n05.*classes\.txt"):
        load(tree)
    (tree / "classes.txt").write_text("n01\nn02\nn03\nn04\n")
    assert load(tree).n_classes == 4


def test_broken_links_and_loops_are_named(tree):
    (tree / "train/n01/gone.JPEG").symlink_to(tree / "nowhere.JPEG")
    (tree / "train/n02/again").symlink_to(tree / "train/n02")
    (tree / "val/n03/above").symlink_to(tree)
    with pytest.raises(DataNotFound) as error:
        load(tree)
    message = str(error.value)
    assert f"broken link {tree / 'train/n01/gone.JPEG'}" in message
    assert f"by another link or from above: {tree / 'train/n02/again'}" in message
    assert f"by another link or from above: {tree / 'val/n03/above'}" in message


def test_linked_files_and_class_folders_are_read(tree, tmp_path):
    shutil.move(tree / "train/n01", tmp_path / "elsewhere")
    (tree / "train/n01").symlink_to(tmp_path / "elsewhere")
    (tree / "train/n02/linked.JPEG").symlink_to(tree / "train/n02/0.JPEG")
    assert len(load(tree).train_images) == 4 * SIZES["train"] + 1


def test_the_checksum_tells_trees_apart(tree):
    before = load(tree).checksum
    assert load(tree).checksum == before
    shutil.copy(tree / "train/n01/0.JPEG", tree / "train/n01/9.JPEG")
    assert load(tree).checksum != before


def test_imagenet100_is_the_first_100_classes_of_imagenet():
    hundred, thousand = (read_classes(CLASS_LISTS, f"imagenet{n}_wnids") for n in (100, 1000))
    assert hundred == thousand[:100]
    assert thousand == sorted(set(thousand))
    assert len(thousand) == 1000


def test_imagenet100_is_found_inside_imagenet(tmp_path):
    tree = photo_tree(tmp_path / "imagenet", tuple(read_classes(CLASS_LISTS, "imagenet1000_wnids")[:101]))
    dataset = load_dataset("imagenet100", tmp_path)
    assert (dataset.n_classes, dataset.train_images.files.root) == (100, tree)


def test_a_tree_with_other_classes_is_not_imagenet100(tmp_path):
    photo_tree(tmp_path / "imagenet100")
    with pytest.raises(DataNotFound) as error:
        load_dataset("imagenet100", tmp_path)
    assert "missing class folder" in str(error.value)
    assert "... and 180 more" in str(error.value)  # of 100 folders in each of two parts, 20 are shown
    assert "data: folder:imagenet100" in str(error.value)
    assert load_dataset("folder:imagenet100", tmp_path).n_classes == 4


def test_a_stream_of_files_holds_paths_only(tree):
    stream = Split(data="folder:photos", setting="class", tasks=2, class_order=(3, 0, 2, 1), samples_per_task=10)
    scenario = stream.build(seed=0, data_root=tree.parent)
    assert scenario.image_shape == (3, 224, 224)
    first = scenario.tasks[0].train.examples()
    assert isinstance(first.images, ImageFiles)
    assert len(first) == 10
    assert {first.images.path(i).parent.name for i in range(10)} == {"n04", "n01"}
    of_class_3 = [i for i in range(10) if first.labels[i] == 0]
    assert {first.images.path(i).parent.name for i in of_class_3} == {"n04"}
    assert scenario.manifest["decoder"].split()[0] in ("Pillow", "torchcodec")


def test_settings_that_files_cannot_meet_are_refused(tree):
    photos = {"data": "folder:photos", "setting": "domain", "tasks": 2}
    with pytest.raises(ValidationError, match="padding is for data in memory"):
        Split(**photos, padding=2)
    with pytest.raises(ValidationError, match="digits is held in memory"):
        Split(data="digits", setting="class", transform={"image_size": 32})
    with pytest.raises(ValueError, match="Permuted changes pixels in memory"):
        Permuted(**photos).build(data_root=tree.parent)
    with pytest.raises(ValueError, match="timm cannot build it"):
        Split(**photos, transform={"auto_augment": "rand-what9"}).build(data_root=tree.parent)


def test_identity_has_the_transform_resolved():
    stream = Split(data="folder:photos", setting="class")
    assert stream.model_dump()["transform"]["image_size"] == 224
    assert stream == Split(data="folder:photos", setting="class", transform={})
    assert Split(data="digits", setting="class").transform is None


def test_real_sample(data_root):
    if not (data_root / "imagenet100/train").is_dir():
        pytest.skip(f"no imagenet100 tree under {data_root}")
    dataset = load_dataset("folder:imagenet100", data_root)
    assert torch.equal(dataset.train_labels.unique(), torch.arange(dataset.n_classes))
    counts = torch.stack([dataset.train_labels.bincount(), dataset.test_labels.bincount()])
    assert counts.tolist() == [[20] * 100, [5] * 100]  # 64 x 64 photographs in ImageNet's layout
