"""Progress of a running cell, and trackers: what they tell is right, and nothing that they do harms the cell."""

import os
import sys
import threading
import time
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.cell.run import run_cell
from benchmarks.executors.local import run_local
from benchmarks.records.cell_progress import CellProgress
from benchmarks.records.results import COSTS, frame_of
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.watch import background, choice
from benchmarks.watch.background import Background
from benchmarks.watch.choice import TrackerChoice, Watching, chosen
from benchmarks.watch.on_mlflow import MLflow
from benchmarks.watch.on_wandb import Wandb
from benchmarks.watch.picture import picture
from benchmarks.watch.reporter import Reporter, TimeLeft
from benchmarks.watch.tracker import Run, Tracker, flat
from benchmarks.watch.watch import Watch
from methods import METHODS
from metrics import SCORES
from tests.benchmarks.helpers import cells, forked_workers

(ER,) = cells("er", scenarios=("split-digits/task",), changes=["training.epochs=3"])


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


class Clock:
    """Moves on by `tick` seconds with each look at it."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


# ---- progress ----------------------------------------------------------------------------------------------------


def test_progress_tells_task_epoch_loss_accuracy_and_time_left():
    told = []
    record = run_cell(ER, callbacks=Reporter(ER, told.append, every=0.0))
    steps = [p for p in told if p.epoch]
    assert [(p.done, p.epoch) for p in steps] == sorted((p.done, p.epoch) for p in steps)
    assert {(p.done, p.epoch, p.epochs) for p in steps} == {(t, e, 3) for t in range(5) for e in (1, 2, 3)}
    assert all(0 < p.loss < 10 for p in steps)
    last = told[-1]
    assert (last.done, last.tasks, last.epoch, last.left) == (5, 5, 0, 0.0)
    assert last.accuracy == pytest.approx(record.score("acc"))
    assert last.text == f"5 of 5 tasks done, accuracy {100 * record.score('acc'):.1f}% after task 5, left 0:00"
    shown = CellProgress(tasks=10, done=2, phase="train", epoch=12, epochs=70, loss=0.41234, accuracy=0.836, left=151.2)
    assert shown.text == "task 3/10, epoch 12/70, loss 0.4123, accuracy 83.6% after task 2, left 2:31"
    assert "balanced epoch 12/70" in replace(shown, phase="balanced").text


def test_the_loss_told_is_the_mean_since_the_last_time():
    losses, told = [], []

    class Losses(METHODS["finetune"]):
        about = "keeps its losses"

        def observe(self, *arguments):
            loss = super().observe(*arguments)
            losses.append(float(loss))
            return loss

    (cell,) = cells("finetune")
    original = METHODS["finetune"]
    try:
        METHODS["finetune"] = Losses
        run_cell(cell, callbacks=Reporter(cell, told.append, every=0.0))
    finally:
        METHODS["finetune"] = original
    assert [p.loss for p in told if p.epoch] == pytest.approx(losses, rel=1e-3)


def test_the_loss_is_read_when_an_update_is_due_and_not_before():
    class Loss:
        reads = 0

        def __float__(self):
            Loss.reads += 1
            return 1.0

    told, clock = [], Clock(0.001)
    reporter = Reporter(ER, told.append, every=1.0, clock=clock)
    phase = types.SimpleNamespace(name="train", total_steps=20000, steps_per_epoch=100)
    for n in range(1, 20001):
        reporter.step(phase, 1 + n // 100, n, Loss())
    assert Loss.reads == len(told) <= clock.now + 1
    assert len(told) > 0.8 * clock.now


def test_time_left_of_equal_and_of_growing_tasks():
    equal = TimeLeft([1.0] * 4, 0.0)
    assert equal.seconds(1.0) is None
    equal.phase()
    equal.within(0.5, 10.0)
    assert equal.seconds(10.0) == pytest.approx(10 + 3 * 20)
    equal.task(20.0)
    assert equal.seconds(20.0) == pytest.approx(60)
    assert equal.seconds(25.0) == pytest.approx(55)  # before its first step
    equal.start(3, 20.0)  # gone on later
    equal.phase()
    equal.within(0.25, 25.0)
    assert equal.seconds(25.0) == pytest.approx(15)
    growing = TimeLeft([1.0, 2.0, 3.0], 0.0)
    growing.task(10.0)
    assert growing.seconds(10.0) == pytest.approx(50)


def test_a_task_of_two_phases_is_half_done_after_the_first():
    left = TimeLeft([1.0] * 3, 0.0)
    for _ in range(2):
        left.phase()
        left.within(1.0, 10.0)
    left.task(10.0)
    left.phase()
    left.within(1.0, 15.0)
    assert left.seconds(15.0) == pytest.approx(5 + 10)


def test_the_runner_notes_progress_in_the_claim(tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    seen = []
    import benchmarks.records.claims as claims

    note = claims.Claims.note
    monkeypatch.setattr(
        claims.Claims, "note", lambda self, cell, **facts: (seen.append(facts["progress"]), note(self, cell, **facts))
    )
    list(run_local([ER], tmp_path, None, ["cpu"]))
    assert seen
    assert all(isinstance(p, CellProgress) and p.tasks == 5 for p in seen)


# ---- trackers ----------------------------------------------------------------------------------------------------


class Kept(Tracker):
    """Keeps all that it is told."""

    def start(self, run):
        self.run, self.told, self.images, self.scores = run, [], [], None
        KEPT.append(self)

    def scalars(self, values, step):
        self.told.append((values, step))

    def image(self, name, image, step):
        self.images.append((name, image.shape, step))

    def end(self, scores):
        self.scores = scores


KEPT = []


class Raising(Kept):
    def scalars(self, values, step):
        raise ConnectionError("no\nserver")


class Blocking(Kept):
    def start(self, run):
        time.sleep(3600)


class Failing(Kept):
    def __init__(self):
        raise ImportError("half installed")


@pytest.fixture
def trackers(monkeypatch):
    """`Kept` and those that do harm, by name, in this process and its forks."""
    KEPT.clear()
    table = {"kept": Kept, "raising": Raising, "blocking": Blocking, "failing": Failing}
    make = TrackerChoice.make
    monkeypatch.setattr(TrackerChoice, "make", lambda self: table[self.name]() if self.name in table else make(self))
    monkeypatch.setattr(background, "CLOSING", 0.5)
    monkeypatch.setattr(Background.finish, "__defaults__", (0.5,))


def watching(tmp_path, *names, logs=False):
    return Watching(logs, tuple(TrackerChoice(name, tmp_path / "tracked") for name in names))


def tracked(cell, tmp_path, *names, logs=False, **how):
    store = Store(tmp_path / "runs" / "digits")
    watch = Watch(cell, store, watching(tmp_path, *names, logs=logs))
    record = run_cell(cell, callbacks=watch.callbacks, **how)
    return record, watch.finish(record)


def test_a_tracker_hears_of_epochs_tasks_settings_and_scores(tmp_path, trackers):
    record, warnings = tracked(ER, tmp_path, "kept")
    assert warnings == []
    (kept,) = KEPT
    assert (kept.run.name, kept.run.group, kept.run.steps) == ("split-digits/task er seed 0", "digits", None)
    assert kept.run.settings["training.epochs"] == 3
    assert kept.run.settings["model.hidden"] == "[16]"
    epochs = [(values, step) for values, step in kept.told if "train/loss" in values]
    assert [step for _, step in epochs] == [record.steps // 15 * k for k in range(1, 16)]
    rows = {step: values for values, step in kept.told if "accuracy/task1" in values}
    matrix = record.matrix.matrix()
    for i in range(6):
        assert [rows[i][f"accuracy/task{j + 1}"] for j in range(5)] == matrix.accuracy[i].tolist()
    assert "accuracy/mean" not in rows[0]
    assert rows[5]["accuracy/mean"] == record.score("acc")
    assert kept.images == [("accuracy/matrix", (6 * 36, 5 * 36, 3), k) for k in range(1, 6)]
    assert kept.scores["acc"] == record.score("acc")
    assert kept.scores["flops.training"] == record.flops.training


@pytest.mark.parametrize("name", ["raising", "blocking", "failing"])
def test_a_tracker_that_does_harm_costs_the_run_nothing(tmp_path, trackers, name):
    (cell,) = cells("er")
    plain = run_cell(cell)
    began = time.monotonic()
    record, warnings = tracked(cell, tmp_path, name, logs=True)
    assert time.monotonic() - began < plain.seconds["total"] + 3  # of which closing takes half a second
    assert record.comparable() == plain.comparable()
    (warning,) = warnings
    assert {
        "raising": "ConnectionError: no",
        "blocking": "was still busy 0.5 s after the cell",
        "failing": "ImportError: half installed",
    }[name] in warning
    (log,) = (tmp_path / "runs").glob("digits/logs/*/log.txt")
    assert log.read_text().count(f"tracker {name}") == 1


def test_a_slow_tracker_misses_events_and_that_is_said_once(tmp_path):
    heard, warnings, go = [], [], threading.Event()

    class Slow(Kept):
        def start(self, run):
            go.wait(20)

        def scalars(self, values, step):
            heard.append(step)

    slow = Background("slow", Slow, lambda steps: Run("a", "b", "c", tmp_path), warnings.append, most=4)
    began = time.monotonic()
    for n in range(1000):
        slow._put(slow._scalars, {"train/loss": 1.0}, n)
    assert time.monotonic() - began < 1
    assert warnings == ["tracker slow is too slow: what it has no time for is dropped"]
    assert not slow.finish(run_cell(cells("finetune")[0]), seconds=0.3) or heard
    go.set()
    assert len(heard) <= 6


def test_a_tracker_that_was_busy_is_left_out_from_then_on(tmp_path, trackers, monkeypatch):
    forked_workers(monkeypatch)
    wanted = cells("finetune", seeds=3)
    outcomes = list(run_local(wanted, tmp_path / "runs", None, ["cpu"], watching=watching(tmp_path, "blocking")))
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    assert [len(outcome.warnings) for outcome in outcomes] == [1, 0, 0]


def test_a_cell_that_failed_is_ended_without_scores(tmp_path, trackers, monkeypatch):
    monkeypatch.setattr(METHODS["er"], "end_task", lambda self, task: 1 / 0)
    record, _ = tracked(cells("er")[0], tmp_path, "kept")
    assert record.status == "failed"
    assert KEPT[0].scores == {}


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def assert_event_files_hold(folder, record):
    found = events(folder)
    matrix = record.matrix.matrix()
    for j in range(5):
        read = {e.step: e.value for e in found.Scalars(f"accuracy/task{j + 1}")}
        wanted = {i: matrix[i, j] for i in range(6) if not np.isnan(matrix[i, j])}
        assert read == {i: np.float32(value) for i, value in wanted.items()}
    row = frame_of([record]).iloc[0]
    for id in (*SCORES, *COSTS):
        name = f"score/{id}"
        assert (name in found.Tags()["scalars"]) != np.isnan(row[id]), id
        if not np.isnan(row[id]):
            assert [e.value for e in found.Scalars(name)] == [np.float32(row[id])]
    return found


def test_event_files_read_by_tensorboard_hold_the_record_s_numbers(tmp_path):
    record, warnings = tracked(ER, tmp_path, "tensorboard", logs=True)
    assert warnings == []
    (folder,) = (tmp_path / "tracked" / "digits").iterdir()
    assert folder.name == Store(tmp_path).path(ER).stem
    found = assert_event_files_hold(folder, record)
    with open(next((tmp_path / "runs").glob("digits/logs/*/epochs.csv"))) as file:
        losses = [float(line.split(",")[4]) for line in file.readlines()[1:]]
    assert [e.value for e in found.Scalars("train/loss")] == pytest.approx(losses, rel=1e-5)
    assert [e.value for e in found.Scalars("train/lr")] == pytest.approx([ER.training.optimizer.lr] * 15)
    assert [e.step for e in found.Images("accuracy/matrix")] == [1, 2, 3, 4, 5]
    (shown,) = (found.PluginTagToContent("hparams")["_hparams_/session_start_info"],)
    assert b"method.settings.buffer_size" in shown


def test_a_cell_that_goes_on_continues_its_event_files(tmp_path, monkeypatch):
    import benchmarks.cell.run as module

    train, checkpoint = module.train_task, tmp_path / "cell.pt"

    def stopping(method, scenario, task, *rest):
        train(method, scenario, task, *rest)
        if task.id == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_task", stopping)
    with pytest.raises(KeyboardInterrupt):
        tracked(ER, tmp_path, "tensorboard", checkpoint=checkpoint)
    monkeypatch.setattr(module, "train_task", train)
    time.sleep(0.5)  # for the thread of the first
    record, _ = tracked(ER, tmp_path, "tensorboard", checkpoint=checkpoint)
    (folder,) = (tmp_path / "tracked" / "digits").iterdir()
    found = assert_event_files_hold(folder, record)
    steps = [e.step for e in found.Scalars("train/loss")]
    assert steps == [record.steps // 15 * k for k in range(1, 16)]  # each once


def test_a_cell_that_is_run_anew_begins_its_event_files_anew(tmp_path):
    for _ in range(2):
        record, _ = tracked(ER, tmp_path, "tensorboard")
    (folder,) = (tmp_path / "tracked" / "digits").iterdir()
    assert len(assert_event_files_hold(folder, record).Scalars("train/loss")) == 15


def test_the_matrix_as_a_picture():
    accuracy = np.array([[np.nan, np.nan], [1.0, np.nan], [0.0, 0.5]])
    drawn = picture(accuracy)
    assert drawn.shape == (3 * 36, 2 * 36, 3)
    grey, dark, light = drawn[2, 2], drawn[38, 2], drawn[74, 2]
    assert grey.tolist() == [205, 205, 205]
    assert dark.sum() < light.sum()
    assert Image.fromarray(drawn).getcolors(10**6)
    assert picture(np.zeros((41, 40))).shape == (41 * 8, 40 * 8, 3)


# ---- the option --------------------------------------------------------------------------------------------------


def test_what_is_wrong_with_trackers_is_said_together(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: None if name == "mlflow" else sys.__spec__)
    monkeypatch.setattr(choice, "_is_installed", lambda name: name != "mlflow")
    with pytest.raises(SettingsError) as error:
        chosen(["tensorbord", "mlflow", "wandb", "wandb:x"], tmp_path)
    assert error.value.problems == [
        "--track tensorbord; did you mean 'tensorboard'?",
        "--track mlflow needs the package mlflow: pip install mlflow",
        "--track wandb: named twice",
    ]
    both = chosen(["tensorboard", f"wandb:{tmp_path}/own"], tmp_path)
    assert [c.folder for c in both] == [tmp_path / "tracked" / "tensorboard", tmp_path / "own"]


def test_a_folder_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "wandb_of_a_run").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not choice._is_installed("wandb_of_a_run")
    assert choice._is_installed("tensorboard")


def test_an_installed_package_offers_a_tracker(tmp_path, monkeypatch):
    (tmp_path / "their_tracker.py").write_text(
        "from tests.benchmarks.test_watch import Kept\nclass Theirs(Kept): pass\n"
    )
    info = tmp_path / "their-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[retain.trackers]\ntheirs = their_tracker:Theirs\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = chosen(["theirs"], tmp_path)
    assert isinstance(found.make(), Tracker)
    assert type(found.make()).__name__ == "Theirs"


def test_settings_by_dotted_name():
    assert flat({"a": {"b": 1, "c": [1, 2]}, "d": None, "e": "x", "f": True}) == {
        "a.b": 1,
        "a.c": "[1, 2]",
        "d": "none",
        "e": "x",
        "f": True,
    }


# ---- Weights & Biases and MLflow, by modules that stand in for theirs -------------------------------------------------


class Recorder:
    """Has every method, and keeps the calls."""

    def __init__(self):
        self.calls, self.summary = [], {}

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


def test_wandb(tmp_path, trackers, monkeypatch):
    run, begun = Recorder(), []
    module = types.ModuleType("wandb")
    module.init = lambda **kwargs: (begun.append(kwargs), run)[1]
    module.Settings = lambda **kwargs: kwargs
    module.Image = lambda image: ("image", image.shape)
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr(TrackerChoice, "make", lambda self: Wandb())
    monkeypatch.delenv("WANDB_MODE", raising=False)
    record, warnings = tracked(ER, tmp_path, "wandb")
    assert warnings == []
    assert (begun[0]["mode"], begun[0]["group"], begun[0]["name"]) == ("offline", "digits", ER.label)
    assert begun[0]["config"]["training.epochs"] == 3
    logged = [args[0] for name, args, _ in run.calls if name == "log"]
    last = next(values for values in reversed(logged) if "accuracy/task1" in values)
    assert (last["tasks"], last["accuracy/mean"]) == (5, record.score("acc"))
    assert max(values["steps"] for values in logged if "train/loss" in values) == record.steps
    assert run.summary["score/acc"] == record.score("acc")
    assert run.calls[-1] == ("finish", (), {"exit_code": 0})


def test_mlflow(tmp_path, trackers, monkeypatch):
    client, places = Recorder(), []
    found = iter([None, types.SimpleNamespace(experiment_id="number of digits")])
    client.get_experiment_by_name = lambda name: next(found)
    client.create_experiment = lambda name: 1 / 0  # another worker has made it meanwhile
    client.create_run = lambda number, run_name, tags: types.SimpleNamespace(
        info=types.SimpleNamespace(run_id=f"{number}: {run_name}")
    )
    for name in ("mlflow", "mlflow.entities", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["mlflow.entities"].Param = lambda name, value: (name, value)
    sys.modules["mlflow.tracking"].MlflowClient = lambda uri: (places.append(uri), client)[1]
    monkeypatch.setattr(TrackerChoice, "make", lambda self: MLflow())
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", os.environ.get("MLFLOW_ALLOW_FILE_STORE", "true"))
    record, warnings = tracked(ER, tmp_path, "mlflow")
    assert warnings == []
    assert places == [(tmp_path / "tracked").as_uri()]
    assert {args[0] for _, args, _ in client.calls} == {f"number of digits: {ER.label}"}
    params = dict(p for name, _, given in client.calls if name == "log_batch" for p in given["params"])
    assert params["training.epochs"] == "3"
    metrics = {(args[1], given.get("step")): args[2] for name, args, given in client.calls if name == "log_metric"}
    assert metrics["accuracy/task2", 3] == record.matrix.matrix()[3, 1]
    assert metrics["score/acc", None] == record.score("acc")
    assert client.calls[-1][2] == {"status": "FINISHED"}
