"""`bench`: own data, network and methods to a table, by the road of `run`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from torch import nn

from benchmarks import api
from benchmarks.api import bench
from benchmarks.request import plugins
from benchmarks.request.errors import SettingsError
from methods import ER, METHODS, Finetune
from models import BACKBONES
from scenarios import own_data

RNG = np.random.default_rng(0)
MEANS = RNG.integers(0, 200, (6, 6, 6))
SHORT = {"epochs": 2, "batch_size": 8}


@pytest.fixture(autouse=True)
def _nothing_stays(monkeypatch):
    """What a script registers is there for its process: not for the tests after it."""
    tables = (METHODS, BACKBONES)
    before = [set(table) for table in tables]
    for kept in ("_included", "_modules"):
        monkeypatch.setattr(plugins, kept, type(getattr(plugins, kept))())
    yield
    for table, names in zip(tables, before, strict=True):
        for name in set(table) - names:
            del table[name]


def images(n: int, classes=range(6), shift: int = 0):
    labels = np.resize(list(classes), n)
    return (MEANS[labels] + RNG.integers(0, 40, (n, 6, 6)) + shift).astype(np.uint8), labels


TRAIN, TEST = images(60), images(24)


class Net(nn.Module):
    def __init__(self, width: int = 8):
        super().__init__()
        self.layer = nn.Linear(36, width)

    def forward(self, x):
        return self.layer(x.flatten(1)).relu()


class Halved(Finetune):
    """Half the loss."""

    about = "half of the loss"

    def loss(self, batch):
        return super().loss(batch) / 2


def quietly(tmp_path, *data, **more):
    settings = {"tasks": 3, "seeds": 1, "training": SHORT, "model": Net, "methods": ["finetune"]}
    return bench(*data, results_dir=tmp_path, say=lambda line: None, **(settings | more))


def test_methods_by_name_class_and_instance(tmp_path):
    rows = ["finetune", Halved, ER(buffer_size=6)]
    done = quietly(tmp_path, TRAIN, TEST, methods=rows, seeds=[1, 4])
    assert [(r.method, r.seed) for r in done.records] == [(m, s) for s in (1, 4) for m in ("finetune", "Halved", "er")]
    assert done.records[2].settings["method"]["settings"]["buffer_size"] == 6
    assert all(row in str(done) for row in ("finetune", "Halved", "er"))
    assert done.failed == []
    assert len(done.frame) > 0
    assert any(file.endswith("test_api.py") for file in done.records[0].source)  # the network's file decides it
    named = quietly(
        tmp_path, TRAIN, TEST, name="named", methods={"small": ER(buffer_size=6), "er": {"buffer_size": 12}}
    )
    assert [r.method for r in named.records] == ["small", "er"]
    assert named.records[0].matrix == done.records[2].matrix or named.records[0].seed != done.records[2].seed


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    first = quietly(tmp_path, TRAIN, TEST, seeds=2)
    ran = []
    monkeypatch.setattr(api, "run_cell", lambda cell, *rest: ran.append(cell.label))
    again = quietly(tmp_path, TRAIN, TEST, seeds=2)
    assert (ran, again.table) == ([], first.table)
    with pytest.raises(AttributeError):  # of the stand-in, which gives no record
        quietly(tmp_path, images(60), TEST, seeds=2)  # other data are other cells
    assert ran == ["own/class finetune seed 0"]


class Stops(Finetune):
    """Is stopped in its second task, the first time."""

    about = "is stopped once"
    stop = True

    def end_task(self, task):
        if task.id == 1 and Stops.stop:
            Stops.stop = False
            raise KeyboardInterrupt


def test_a_stopped_cell_goes_on_from_its_last_task(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        quietly(tmp_path / "one", TRAIN, TEST, methods=[Stops])
    assert len(list((tmp_path / "one" / "runs" / "own" / "unfinished").glob("*.pt"))) == 1
    begun = []
    monkeypatch.setattr(Stops, "begin_task", lambda self, task: begun.append(task.id))
    resumed = quietly(tmp_path / "one", TRAIN, TEST, methods=[Stops])
    assert begun == [1, 2]
    whole = quietly(tmp_path / "two", TRAIN, TEST, methods=[Stops])
    assert resumed.records[0].matrix == whole.records[0].matrix


def test_one_data_set_a_task(tmp_path):
    train, test = [images(30, (0, 1, 2)), images(30, (0, 1, 2), 15)], [images(9, (0, 1, 2)), images(9, (0, 1, 2), 15)]
    done = quietly(tmp_path, train, test, tasks=None, setting=["domain", "task"])
    assert [r.scenario for r in done.records] == ["own/domain", "own/task"]
    assert done.records[0].scenario_manifest["train_sizes"] == [30, 30]
    assert done.records[0].matrix.total[0] == [9, 9]


def test_whole_data_sets_and_the_network_as_a_function(tmp_path):
    def wide(width: int = 12, image_shape: tuple[int, int, int] = (1, 1, 1)):
        return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(image_shape)), width))

    data = own_data(TRAIN, TEST, classes=["a", "b", "c", "d", "e", "f"])
    models = [wide, {"backbone": "mlp", "hidden": [4]}]
    one, other = (quietly(tmp_path / str(n), data, model=model) for n, model in enumerate(models))
    assert one.records[0].settings["model"]["width"] == 12
    assert other.records[0].settings["model"]["hidden"] == [4]
    digits = quietly(tmp_path, "digits", tasks=5, scenario={"samples_per_task": 20}, model="mlp", name="mine")
    assert digits.records[0].scenario_manifest["train_sizes"] == [20] * 5


def test_a_cell_that_fails_is_in_the_table_and_told(tmp_path):
    class Fails(Finetune):
        """Fails."""

        about = "fails"

        def loss(self, batch):
            raise ValueError("no loss today")

    lines: list[str] = []
    done = quietly(tmp_path, TRAIN, TEST, methods=["finetune", Fails])
    assert [record.method for record in done.failed] == ["Fails"]
    bench(
        TRAIN,
        TEST,
        methods=[Fails],
        model=Net,
        tasks=3,
        seeds=1,
        training=SHORT,
        results_dir=tmp_path,
        say=lines.append,
    )
    assert "no loss today" in lines[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"methods": ["fintune"]}, "unknown method 'fintune'"),
        ({"methods": "er"}, "should be a list of methods"),
        ({"methods": [ER, ER(buffer_size=3)]}, "er is there twice"),
        ({"methods": [Net]}, "derived from Method"),
        ({"model": Net()}, "each cell has its own weights"),
        ({"model": lambda: nn.Flatten()}, "has no name"),
        ({"model": "resnt32"}, "resnet32"),
        ({"tasks": 4}, "cannot be split evenly"),
        ({"training": {"epoch": 2}}, "training.epoch"),
        ({"image_sise": 3}, "bench has no argument image_sise; it takes"),
        ({"name": "a/b"}, "suite"),
        ({"setting": "classes"}, "setting"),
        ({"scenario": {"data": "mnist"}}, "scenario: data is what the argument train says"),
        ({"scenario": {"settings": ["task"]}}, "scenario: settings is what the argument setting says"),
        ({"scenario": {"tasks": 2}}, "scenario: tasks is what the argument tasks says"),
        ({"tasks": 0}, "tasks: Input should be greater than or equal to 1"),
        ({"seeds": 2.0}, "seeds: 2.0 should be a number of seeds"),
        (
            {"training": {"optimizer": Net()}},
            "a setting is a Net: give a number, a text, or a list or mapping of these",
        ),
        ({"device": "gpu"}, "device: 'gpu' is none of this machine's: cpu"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(tmp_path, more, said):
    with pytest.raises((SettingsError, ValueError)) as error:
        quietly(tmp_path, TRAIN, TEST, **more)
    assert said in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_call_that_is_refused_leaves_what_another_of_its_name_made(tmp_path):
    quietly(tmp_path, TRAIN, TEST)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in files]
    for more in ({"tasks": 4}, {"model": {"backbone": "mlp", "hidden": [-1]}}, {"seeds": 0}):
        with pytest.raises(SettingsError):
            quietly(tmp_path, images(60), TEST, **more)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(files)
    assert [path.read_bytes() for path in files] == before


def test_numbers_of_numpy_are_numbers(tmp_path):
    plain = {"seeds": [0, 1], "tasks": 3, "methods": {"er": {"buffer_size": 6}}}
    numpy = {"seeds": np.arange(2), "tasks": np.int64(3), "methods": {"er": {"buffer_size": np.int32(6)}}}
    lr = {"optimizer": {"name": "sgd", "lr": np.float64(0.1)}}
    first = quietly(tmp_path, TRAIN, TEST, training=SHORT | {"optimizer": {"name": "sgd", "lr": 0.1}}, **plain)
    again = quietly(tmp_path, TRAIN, TEST, training=SHORT | lr, **numpy)
    assert [r.identity for r in first.records] == [r.identity for r in again.records]
    assert len(first.records) == 2
    assert quietly(tmp_path, TRAIN, TEST, name="one", seeds=np.int64(1), scenario={"tasks": 2}, tasks=None).failed == []


def test_the_suite_stands_in_a_file_that_commands_take(tmp_path):
    from typer.testing import CliRunner

    from benchmarks.cli.app import app

    done = quietly(tmp_path, TRAIN, TEST, model="mlp")
    told = CliRunner().invoke(app, ["status", str(done.suite), "--results-dir", str(tmp_path)])
    assert "1 done, 0 missing" in told.output
    (record,) = (tmp_path / "runs" / "own").glob("*.json")
    assert json.loads(record.read_text())["settings"]["scenario"]["data"].startswith("npz:own.npz@")


def test_a_cell_that_fails_when_run_afresh_is_named_as_failed(tmp_path, monkeypatch):
    """Its good record of before stays in the table."""
    once = {"methods": ["finetune"], "seeds": 1, "tasks": 2}
    before = quietly(tmp_path, TRAIN, TEST, **once)

    def broken(self, task):
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(Finetune, "end_task", broken)
        patch.setattr(api, "to_run", lambda grid, *_: grid.cells)  # as if its code had changed
        again = quietly(tmp_path, TRAIN, TEST, **once, fresh=True)
    assert ["ZeroDivisionError: planted" in record.error for record in again.failed] == [True]
    assert before.table.splitlines()[3:6] == again.table.splitlines()[3:6]
    assert quietly(tmp_path, TRAIN, TEST, **once).failed == []
