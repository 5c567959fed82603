"""Cells on image files, from the tree on disk to the record, and the verb that checks a data set."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from benchmarks.cell.run import run_cell
from benchmarks.cli.app import app
from benchmarks.executors.local import run_local
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.suite import CellSettings
from scenarios.datasets import _load
from tests.scenarios.trees import photo_tree

SUITE = """
title: photographs
seeds: 1
scenarios:
  photos: {{stream: split, data: "folder:{folder}", setting: class, tasks: 2, {more}
           transform: {{image_size: 16, auto_augment: rand-m9-mstd0.5-inc1, re_prob: 0.2}}}}
methods: {{finetune: {{}}, er: {{buffer_size: 8}}}}
model: {{hidden: [16]}}
training: {{epochs: 2, batch_size: 5, optimizer: {{name: sgd, lr: 0.01}}}}
"""


def cells(tmp_path, folder: str = "photos", more: str = "") -> dict[str, CellSettings]:
    path = tmp_path / "photos.yaml"
    path.write_text(SUITE.format(folder=folder, more=more))
    return {cell.method_name: cell for cell in make_grid(load_suite(str(path))).cells}


@pytest.fixture
def tree(tmp_path):
    return photo_tree(tmp_path / "photos")


def same_with_any_number_of_workers(cell: CellSettings, root, monkeypatch) -> None:
    records = []
    for workers in ("0", "2"):
        monkeypatch.setenv("DATA_WORKERS", workers)
        records.append(run_cell(cell, str(root)))
    assert [r.error for r in records] == [None, None]
    assert records[0].comparable() == records[1].comparable()


@pytest.mark.parametrize("method", ["finetune", "er"])
def test_workers_do_not_change_a_record(tree, tmp_path, monkeypatch, method):
    same_with_any_number_of_workers(cells(tmp_path)[method], tmp_path, monkeypatch)


@pytest.mark.parametrize("method", ["finetune", "er"])
def test_real_photographs_in_two_tasks(data_root, tmp_path, monkeypatch, method):
    if not (data_root / "imagenet100/train").is_dir():
        pytest.skip(f"no imagenet100 tree under {data_root}")
    order = f"class_order: {list(range(0, 100, 10))},"
    same_with_any_number_of_workers(cells(tmp_path, "imagenet100", order)[method], data_root, monkeypatch)


def test_a_buffer_of_files_weighs_what_its_files_weigh(tree, tmp_path):
    record = run_cell(cells(tmp_path)["er"], str(tmp_path))
    sizes = sorted(p.stat().st_size for p in (tree / "train").rglob("*.JPEG"))
    for stored in record.memory.stored_bytes:
        assert sum(sizes[:8]) + 8 * 8 <= stored["buffer"] <= sum(sizes[-8:]) + 8 * 8


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_corrupt_file_fails_the_record_and_is_named_in_it(tree, tmp_path, monkeypatch, workers):
    monkeypatch.setenv("DATA_WORKERS", workers)
    bad = tree / "train/n02/4.JPEG"
    bad.write_bytes(bad.read_bytes()[:400])
    record = run_cell(cells(tmp_path)["finetune"], str(tmp_path))
    assert record.status == "failed"
    assert "CorruptImage" in record.error
    assert f"{bad} cannot be decoded" in record.error


def test_worker_processes_of_the_grid_may_have_workers_of_their_own(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_WORKERS", "1")
    (tmp_path / "runs").mkdir()
    outcomes = list(run_local([cells(tmp_path)["finetune"]], tmp_path / "runs", str(tmp_path), ["cpu"]))
    assert [(o.status, o.error) for o in outcomes] == [("done", None)]


def data(*arguments: str):
    return CliRunner().invoke(app, ["data", *arguments])


def test_data_says_what_is_there(tree, tmp_path):
    result = data("folder:photos", "digits", "--data-root", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "folder:photos: 24 training and 12 test images of 4 classes" in result.output
    assert "digits: 1347 training and 450 test images of 10 classes" in result.output


def test_data_names_what_is_missing_or_corrupt(tree, tmp_path):
    bad = [tree / "train/n02/4.JPEG", tree / "val/n01/0.JPEG"]
    for path in bad:
        path.write_bytes(path.read_bytes()[:400])
    shown = data("folder:photos", "--data-root", str(tmp_path))  # ten pictures of each class are decoded in any case
    assert shown.exit_code == 1
    assert f"{bad[0]} cannot be decoded" in shown.output
    result = data("folder:photos", "--decode", "--data-root", str(tmp_path))
    assert result.exit_code == 1
    assert all(f"{path} cannot be decoded" in result.output for path in bad)
    assert "2 of 36 files cannot be decoded" in result.output
    (tree / "train/n03/0.JPEG").write_bytes(b"")
    _load.cache_clear()  # as a new process has it
    result = data("folder:photos", "--data-root", str(tmp_path))
    assert result.exit_code == 1
    assert f"empty file {tree / 'train/n03/0.JPEG'}" in result.output
