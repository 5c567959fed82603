"""What becomes of a run's checkpoints: when they are damaged, foreign or large, and when the run fails."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import pickle
import warnings
from pathlib import Path

import pytest
import torch
import yaml

import benchmarks.cell.run as module
from benchmarks.cell.checkpoint import Progress, load_checkpoint
from benchmarks.cell.run import run_cell
from benchmarks.cell.state import encode, read_state, write_state
from benchmarks.executors.local import run_local
from benchmarks.records.store import Store, previous_checkpoint
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.suite import CellSettings
from methods import METHODS
from scenarios.datasets import _load
from tests.benchmarks import test_image_files_run
from tests.benchmarks.test_resume import TASKS, cell
from tests.scenarios.trees import photo_tree

ER = cell("er")
SCENARIO = ER.scenario.build(ER.seed, None, ER.scenario_name)


@contextlib.contextmanager
def stopping_at(task: int, monkeypatch, error=KeyboardInterrupt):
    """Inside, `error` is raised where task `task` (from 0) would be trained."""
    train = module.train_task

    def stopping(method, scenario, current, *rest):
        if current.id == task:
            raise error
        train(method, scenario, current, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_task", stopping)
        yield


def interrupted(path: Path, monkeypatch, task: int = 2, wanted: CellSettings = ER, **where) -> Path:
    with stopping_at(task, monkeypatch), pytest.raises(KeyboardInterrupt):
        run_cell(wanted, checkpoint=path, **where)
    return path


def tasks_of(monkeypatch, method: str = "er") -> list[int]:
    """A list that will hold the tasks that are trained."""
    begun: list[int] = []
    enter = METHODS[method].enter
    monkeypatch.setattr(METHODS[method], "enter", lambda self, task: begun.append(task.id) or enter(self, task))
    return begun


def loaded(path: Path) -> Progress | None:
    return load_checkpoint(path, ER, SCENARIO, "cpu")


def test_every_flipped_bit_is_found_and_the_run_survives_it(tmp_path, monkeypatch):
    path = interrupted(tmp_path / "cell.pt", monkeypatch, 1)
    whole = path.read_bytes()
    places = torch.linspace(0, len(whole) - 1, 120).long().tolist()
    for k, place in enumerate(places):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << k % 8
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match=r"checkpoint \S*cell.pt: its checksum .*; set aside as cell.broken.pt"):
            assert loaded(path) is None
        assert not path.exists()
        assert (tmp_path / "cell.broken.pt").read_bytes() == damaged
    assert len(list(tmp_path.iterdir())) == 1
    begun = tasks_of(monkeypatch)
    assert run_cell(ER, checkpoint=path).status == "done"
    assert begun == [0, 1, 2, 3]


def test_where_the_last_is_damaged_the_one_before_is_used(tmp_path, monkeypatch):
    path = interrupted(tmp_path / "cell.pt", monkeypatch, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cell.previous.pt", "cell.pt"]
    path.write_bytes(path.read_bytes()[:-1])
    begun = tasks_of(monkeypatch)
    with pytest.warns(UserWarning, match="set aside as cell.broken.pt"):
        resumed = run_cell(ER, checkpoint=path)
    assert begun == [2, 3]
    assert resumed.comparable() == run_cell(ER).comparable()
    path.unlink()
    previous_checkpoint(path).unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["cell.broken.pt"]


class Runs:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("how", ["pickle", "torch.save", "in a good one"])
def test_a_file_that_would_run_code_does_not(tmp_path, monkeypatch, how):
    path, marker = interrupted(tmp_path / "cell.pt", monkeypatch, 1), tmp_path / "marker"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Runs(marker)))
    else:
        torch.save(read_state(path) | {"more": Runs(marker)} if how == "in a good one" else Runs(marker), path)
    path.write_bytes(path.read_bytes() + hashlib.sha256(path.read_bytes()).digest())  # whoever writes it can do so
    with pytest.warns(UserWarning, match="does not hold tensors and plain data alone; set aside"):
        assert loaded(path) is None
    assert not marker.exists()
    with contextlib.suppress(Exception):
        torch.load(tmp_path / "cell.broken.pt", weights_only=False)
        assert marker.exists()  # it would have


def test_checkpoints_of_an_odd_shape_are_named_and_set_aside(tmp_path, monkeypatch):
    path = interrupted(tmp_path / "cell.pt", monkeypatch, 1)
    good = read_state(path)
    parts = ("root", "nodes", "tensors")
    key = {name: value for name, value in good.items() if name not in parts}
    progress = loaded(path)
    assert progress is not None
    generators = {"cpu": torch.get_rng_state()}
    odd: list[object] = [3, [good], {"nodes": []}, key, key | {"root": (0,), "nodes": [], "tensors": []}]
    odd += [{name: value for name, value in good.items() if name != part} for part in parts]
    odd += [key | encode(state) for state in (5, {}, {"progress": 5, "generators": generators}, [progress, generators])]
    odd.append(key | encode({"progress": Progress.of_tasks(TASKS), "generators": generators}))
    odd += [key | encode({"progress": progress, "generators": g}) for g in ({}, {"cpu": 3}, {"cpu": torch.zeros(3)})]
    for name, value in [("done", 2), ("done", "1"), ("matrix", None), ("method", None)]:
        odd.append(key | encode({"progress": Progress(**vars(progress) | {name: value}), "generators": generators}))
    for document in odd:
        write_state(path, document)  # type: ignore[arg-type]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert loaded(path) is None, document
        message = str(said[-1].message)
        if isinstance(document, dict) and not key.items() <= document.items():
            assert "of another run" in message
        else:
            assert "set aside as cell.broken.pt" in message, message
            assert not path.exists()
    write_state(path, key | encode({"progress": progress, "generators": generators}))
    assert loaded(path) is not None


def test_a_checkpoint_on_other_data_is_not_used(tmp_path, monkeypatch):
    path = interrupted(tmp_path / "cell.pt", monkeypatch, 1)
    monkeypatch.setitem(SCENARIO.manifest, "data_checksum", "other")
    with pytest.warns(UserWarning, match="of another run, with other data; not used"):
        assert loaded(path) is None
    assert path.exists()


def test_one_that_cannot_be_read_is_not_taken_for_none(tmp_path, monkeypatch):
    path = interrupted(tmp_path / "cell.pt", monkeypatch, 1)
    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.cell.checkpoint.read_state", raising(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(OSError, match="Input/output"), pytest.warns(UserWarning, match="cannot be read"):
            run_cell(ER, checkpoint=path)
        patch.setattr("benchmarks.cell.checkpoint.read_state", read_state)
        patch.setattr("benchmarks.cell.state.decoder.moved", raising(torch.OutOfMemoryError("the device is full")))
        with pytest.raises(torch.OutOfMemoryError):
            loaded(path)
    assert loaded(path) is not None


def raising(error: Exception):
    def raises(*args, **kwargs):
        raise error

    return raises


def test_a_failed_save_leaves_the_one_before(tmp_path, monkeypatch):
    path = interrupted(tmp_path / "cell.pt", monkeypatch, 1)
    monkeypatch.setattr("benchmarks.cell.state.file.torch.save", raising(OSError(errno.ENOSPC, "No space left")))
    with pytest.warns(UserWarning, match="no checkpoint after 2 tasks: .*No space left"):
        interrupted(path, monkeypatch, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["cell.pt"]
    progress = loaded(path)
    assert progress is not None
    assert progress.done == 1


def test_after_a_passing_error_the_next_run_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "cell.pt"
    with stopping_at(2, monkeypatch, OSError(errno.EIO, "Input/output error")):
        failed = run_cell(ER, checkpoint=path)
        assert failed.status == "failed"
        assert "Input/output error" in failed.error
        again = run_cell(ER, checkpoint=path)  # fails at once, where it failed before
    assert again.status == "failed"
    assert again.error.startswith("gone on after 2 tasks from cell.pt")
    assert again.error.rstrip().endswith("Input/output error")
    begun = tasks_of(monkeypatch)
    resumed = run_cell(ER, checkpoint=path)
    assert begun == [2, 3]
    assert resumed.comparable() == run_cell(ER).comparable()


def test_a_buffer_takes_the_room_of_what_is_in_it(tmp_path, monkeypatch):
    sizes = {}
    for capacity in (200, 2_000_000):
        wanted = cell("derpp", {"buffer_size": capacity})
        path = interrupted(tmp_path / f"{capacity}.pt", monkeypatch, 2, wanted)
        sizes[capacity] = path.stat().st_size
        assert run_cell(wanted, checkpoint=path).comparable() == run_cell(wanted).comparable()
    assert abs(sizes[2_000_000] - sizes[200]) < 1000


FILE_METHODS = {
    "er": {"buffer_size": 8},
    "derpp": {"buffer_size": 8},
    "replay": {"buffer_size": 8},
    "icarl": {"buffer_size": 8, "objective": "ce"},
    "wa": {"buffer_size": 8},
    "bic": {"buffer_size": 16, "correction_epochs": 2},
    "gdumb": {"buffer_size": 8, "epochs": 2},
    "gem": {"buffer_size": 8},
    "der_expand": {"buffer_size": 8},
    "joint": {},
}


def photo_cells(tmp_path: Path) -> dict[str, CellSettings]:
    path = tmp_path / "files.yaml"
    document = yaml.safe_load(test_image_files_run.SUITE.format(folder="photos", more=""))
    path.write_text(yaml.safe_dump(document | {"methods": FILE_METHODS}))
    return {cell.method_name: cell for cell in make_grid(load_suite(str(path))).cells}


@pytest.mark.parametrize("method", FILE_METHODS)
def test_on_image_files_a_stopped_run_ends_as_one_that_was_not(tmp_path, monkeypatch, method):
    wanted = photo_cells(tmp_path)[method]
    photo_tree(tmp_path / "photos")
    path = interrupted(tmp_path / "cell.pt", monkeypatch, 1, wanted, data_root=str(tmp_path))
    assert b"JPEG" not in path.read_bytes()  # the list of files is the data set's
    (tmp_path / "moved").mkdir()
    (tmp_path / "photos").rename(tmp_path / "moved/photos")  # and may be elsewhere
    _load.cache_clear()  # as a new process has it
    begun = tasks_of(monkeypatch, method)
    resumed = run_cell(wanted, str(tmp_path / "moved"), checkpoint=path)
    assert resumed.error is None
    assert begun == [1]
    assert resumed.comparable() == run_cell(wanted, str(tmp_path / "moved")).comparable()


def test_the_runner_keeps_the_checkpoint_of_a_failed_cell_alone(tmp_path, monkeypatch):
    cells = test_image_files_run.cells(tmp_path, more="class_order: [2, 3, 0, 1],")
    tree = photo_tree(tmp_path / "photos")
    whole = run_cell(cells["er"], str(tmp_path))
    bad = tree / "train/n01/4.JPEG"  # of the second task
    content = bad.read_bytes()
    bad.write_bytes(content[:300] + bytes(len(content) - 300))
    fixed = cell("finetune")
    outcomes = list(run_local([cells["er"], fixed], tmp_path / "runs", str(tmp_path), ["cpu"]))
    assert [o.status for o in outcomes] == ["failed", "done"]
    store = Store(tmp_path / "runs")
    assert store.checkpoint(cells["er"]).is_file()
    assert not store.checkpoint(fixed).exists()
    bad.write_bytes(content)
    begun = tasks_of(monkeypatch)
    resumed = run_cell(cells["er"], str(tmp_path), checkpoint=store.checkpoint(cells["er"]))
    assert begun == [1]
    assert resumed.comparable() == whole.comparable()
