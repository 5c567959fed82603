"""What `run --keep-logs` leaves: settings, a line an epoch, the method after each task."""

import csv

import pytest
import torch
import yaml

import benchmarks.cell.run as module
from benchmarks.cell.evaluate import evaluate
from benchmarks.cell.run import run_cell
from benchmarks.cell.run_log import RunLog, load_method
from benchmarks.cell.state import encode, write_state
from benchmarks.executors.local import run_local
from benchmarks.records.store import Store
from benchmarks.watch.choice import Watching
from methods import Joint
from tests.benchmarks.test_image_files_run import cells as photo_cells
from tests.benchmarks.test_resume import TASKS, cell
from tests.scenarios.trees import photo_tree


def lines(folder):
    with open(folder / "epochs.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", ["er", "dytox", "pnn"])
def test_the_log_of_a_run(method, tmp_path):
    torch.set_num_threads(1)
    wanted = cell(method)
    record = run_cell(wanted, callbacks=RunLog(tmp_path, wanted))
    assert record.status == "done", record.error
    settings = yaml.safe_load((tmp_path / "settings.yaml").read_text())
    assert settings["training"]["epochs"] == 2
    assert settings["method"]["name"] == method
    rows = lines(tmp_path)
    main = [row for row in rows if row["phase"] == rows[0]["phase"]]
    assert [(row["task"], row["epoch"]) for row in main] == [(str(t + 1), e) for t in range(TASKS) for e in "12"]
    # 60 images in batches of 20; DyTox adds 20 exemplars
    assert [row["steps"] for row in main] == [
        "3",
        "6",
        *(["4", "8"] if method == "dytox" else ["3", "6"]) * (TASKS - 1),
    ]
    assert len(rows) - len(main) == (TASKS - 1 if method == "dytox" else 0)  # an epoch of balanced fine-tuning
    assert all(0 < float(row["loss"]) < 10 and float(row["lr"]) > 0 for row in rows)
    # the method after the last task answers as the run's record says, and after the first as it did then
    scenario = wanted.scenario.build(wanted.seed, None, wanted.scenario_name)
    for task in (1, TASKS):
        row = evaluate(load_method(tmp_path / f"task{task}.pt"), scenario)
        assert [counts and counts[0] for counts in row] == record.matrix.correct[task]


def test_logging_changes_nothing(tmp_path):
    torch.set_num_threads(1)
    wanted = cell("er")
    assert run_cell(wanted, callbacks=RunLog(tmp_path, wanted)).comparable() == run_cell(wanted).comparable()


def test_a_stopped_run_goes_on_with_its_log(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    wanted, train = cell("er"), module.train_task
    run_cell(wanted, callbacks=RunLog(tmp_path / "whole", wanted))

    def stopping(method, scenario, task, *rest):
        train(method, scenario, task, *rest)
        if task.id == 2:
            raise KeyboardInterrupt  # its epochs are written, its checkpoint is not

    monkeypatch.setattr(module, "train_task", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_cell(wanted, checkpoint=tmp_path / "cell.pt", callbacks=RunLog(tmp_path / "log", wanted))
    assert lines(tmp_path / "log")[-1]["task"] == "3"
    monkeypatch.setattr(module, "train_task", train)
    run_cell(wanted, checkpoint=tmp_path / "cell.pt", callbacks=RunLog(tmp_path / "log", wanted))
    known = ("task", "phase", "epoch", "steps", "loss", "lr")
    stopped, whole = ([{k: row[k] for k in known} for row in lines(tmp_path / f)] for f in ("log", "whole"))
    assert stopped == whole


def test_a_logged_method_that_remembers_image_files_is_bound_to_the_scenario_again(tmp_path):
    photo_tree(tmp_path / "photos")
    wanted = photo_cells(tmp_path)["er"]
    record = run_cell(wanted, str(tmp_path), callbacks=RunLog(tmp_path / "log", wanted))
    scenario = wanted.scenario.build(wanted.seed, str(tmp_path), wanted.scenario_name)
    method = load_method(tmp_path / "log/task2.pt", scenario=scenario)
    assert [counts and counts[0] for counts in evaluate(method, scenario)] == record.matrix.correct[2]
    assert method.buffer.examples.images.files is scenario.image_files[0]
    with pytest.raises(ValueError, match="refers to image files"):
        load_method(tmp_path / "log/task2.pt")


def test_a_log_that_is_no_method_is_refused(tmp_path):
    write_state(tmp_path / "task1.pt", encode({"a": 1}))
    with pytest.raises(ValueError, match="holds a dict, not a method"):
        load_method(tmp_path / "task1.pt")


def test_workers_keep_logs_beside_the_records(tmp_path):
    wanted = cell("finetune")
    list(run_local([wanted], tmp_path, None, ["cpu"], watching=Watching(logs=True)))
    assert sorted(p.name for p in Store(tmp_path).log(wanted).iterdir()) == [
        "accuracies.csv",
        "epochs.csv",
        "log.txt",
        "printed.txt",
        "settings.yaml",
        *(f"task{n}.pt" for n in range(1, TASKS + 1)),
    ]
    assert list(Store(tmp_path).scan().records) == [wanted.identity]


def test_a_method_that_cannot_be_stored_is_logged_without(tmp_path, monkeypatch):
    monkeypatch.setattr(Joint, "footprint", lambda self: setattr(self, "oops", lambda: None) or {})
    wanted = cell("joint")
    with pytest.warns(UserWarning, match="the method is not stored"):
        assert run_cell(wanted, callbacks=RunLog(tmp_path, wanted)).status == "done"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["accuracies.csv", "epochs.csv", "settings.yaml"]
