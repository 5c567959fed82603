"""Finding data, and saying so when it is not to be had."""

import gzip
import shutil

import pytest
import torch

from scenarios import DataNotFound, load_dataset
from scenarios.datasets import IDX_FILES, OUTLINES, data_roots


def test_roots_in_order(monkeypatch, tmp_path):
    monkeypatch.setenv("DATA_ROOT", "/from/environment")
    assert [str(p) for p in data_roots()] == ["/from/environment", "data"]
    assert [str(p) for p in data_roots(tmp_path)] == [str(tmp_path), "data"]
    monkeypatch.delenv("DATA_ROOT")
    assert [str(p) for p in data_roots()] == ["data"]


def test_missing_data_names_file_places_and_the_offline_suite(monkeypatch, tmp_path):
    import torchvision.datasets

    def refuse(self):
        raise RuntimeError("no network\nand a second line")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", refuse)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataNotFound) as error:
        load_dataset("mnist", tmp_path / "elsewhere")
    message = str(error.value)
    assert "train-images-idx3-ubyte" in message
    assert str(tmp_path / "elsewhere") in message
    assert str(tmp_path / "data") in message
    assert "make bench" in message
    assert "no network" in message
    assert "\n" not in message


def test_a_truncated_file_is_named_not_used(data_root, tmp_path):
    shutil.copytree(data_root / "MNIST", tmp_path / "MNIST")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataNotFound, match="MNIST"):
        load_dataset("mnist", tmp_path)


def gzipped(data_root, folder, kind="MNIST"):
    """A copy that has only the .gz files."""
    (folder / kind / "raw").mkdir(parents=True)
    for file in IDX_FILES:
        data = (data_root / kind / "raw" / file).read_bytes()
        (folder / kind / "raw" / f"{file}.gz").write_bytes(gzip.compress(data, compresslevel=0))
    return folder


def test_gzipped_files_are_read_where_only_they_are_there(data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain, packed = load_dataset("mnist", data_root), load_dataset("mnist", gzipped(data_root, tmp_path / "packed"))
    assert packed.checksum == plain.checksum
    assert packed.train_images.shape == (60_000, 1, 28, 28)
    assert torch.bincount(packed.train_labels).tolist() == list(OUTLINES["mnist"].train)
    assert not list((tmp_path / "packed/MNIST/raw").glob("*ubyte"))  # nothing is written beside a user's data


@pytest.mark.parametrize(
    ("kind", "file", "change"),
    [
        ("MNIST", "train-images-idx3-ubyte", "other pixels"),
        ("MNIST", "t10k-labels-idx1-ubyte", "other labels"),
        ("FashionMNIST", "train-labels-idx1-ubyte", "fewer"),
    ],
)
def test_other_files_under_a_known_name_are_refused(data_root, tmp_path, monkeypatch, kind, file, change):
    monkeypatch.chdir(tmp_path)
    if not (data_root / kind).is_dir():
        pytest.skip(f"no {kind} under {data_root}")
    shutil.copytree(data_root / kind, tmp_path / "root" / kind)
    path = tmp_path / "root" / kind / "raw" / file
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    if change == "fewer":
        data = data[:8] + data[8:5_008]
        data[4:8] = (5_000).to_bytes(4, "big")
    else:
        data[-1_000:] = bytes((b + 1) % 10 for b in data[-1_000:])
    path.write_bytes(data)
    with pytest.raises(DataNotFound, match=f"{file} is not the published file"):
        load_dataset(kind.lower(), tmp_path / "root")


def test_same_data_same_checksum():
    assert load_dataset("digits").checksum == load_dataset("digits").checksum
