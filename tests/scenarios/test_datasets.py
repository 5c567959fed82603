"""Finding data, and saying so when it is not to be had."""

import shutil

import pytest

from scenarios import DataNotFound, load_dataset
from scenarios.datasets import data_roots


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


def test_same_data_same_checksum():
    assert load_dataset("digits").checksum == load_dataset("digits").checksum
