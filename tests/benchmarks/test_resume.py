"""A run killed between two tasks ends as one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.cell.checkpoint import Progress, load_checkpoint
from benchmarks.cell.run import run_cell
from benchmarks.request.grid import make_grid
from benchmarks.request.source import source_of
from benchmarks.request.suite import CellSettings, Suite
from methods import METHODS, Joint

TASKS = 4
METHOD_SETTINGS = {
    "er": {"buffer_size": 20},
    "joint": {},
    "dytox": {
        "model": {"backbone": "task-transformer", "dim": 24, "heads": 3, "depth": 1},
        "buffer_size": 20,
        "finetune_epochs": 1,
    },
    "pnn": {},
}


def cell(method: str, settings: dict | None = None, **training) -> CellSettings:
    suite = Suite(
        name="resume",
        title="",
        seeds=[0],
        scenarios={
            "digits": {
                "stream": "split",
                "data": "digits",
                "setting": "task",
                "tasks": TASKS,
                "samples_per_task": 60,
                "class_order": list(range(8)),
            }
        },
        methods={method: METHOD_SETTINGS.get(method, {}) | (settings or {})},
        model={"hidden": [16]},
        training={"epochs": 2, "batch_size": 20} | training,
    )
    return make_grid(suite).cells[0]


# waits at the third task, to be killed
CHILD = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from benchmarks.cell import run
from tests.benchmarks.test_resume import cell

train = run.train_task
def dying(method, scenario, task, *rest):
    if task.id == 2:
        print("third", flush=True)
        signal.pause()  # until killed
    train(method, scenario, task, *rest)
run.train_task = dying
run.run_cell(cell(sys.argv[1]), checkpoint=Path(sys.argv[2]))
"""


@pytest.mark.parametrize("method", ["er", "dytox"])
def test_a_killed_run_ends_as_if_it_had_not_been(method, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    path = tmp_path / "cell.pt"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, method, str(path)], stdout=subprocess.PIPE, env=environment, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "third\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert path.is_file()

    begun = []
    original = METHODS[method].enter
    monkeypatch.setattr(METHODS[method], "enter", lambda self, task: begun.append(task.id) or original(self, task))
    torch.manual_seed(123)  # whatever another process's generators are at
    resumed = run_cell(cell(method), checkpoint=path)
    assert begun == [2, 3]
    whole = run_cell(cell(method))
    assert begun == [2, 3, 0, 1, 2, 3]
    assert resumed.status == "done"
    assert resumed.comparable() == whole.comparable()


@pytest.mark.parametrize(
    ("method", "training"),
    [("joint", {}), ("pnn", {}), ("er", {"optimizer_state": "kept"}), ("finetune", {"schedule": "cosine"})],
)
def test_stopped_after_any_task_it_ends_alike(method, training, tmp_path, monkeypatch):
    import benchmarks.cell.run as module

    torch.set_num_threads(1)
    whole = run_cell(cell(method, **training))
    assert whole.status == "done"
    train = module.train_task
    for stop in range(1, TASKS):
        path = tmp_path / f"{stop}.pt"

        def stopping(method, scenario, task, *rest, stop=stop):
            if task.id == stop:
                raise KeyboardInterrupt
            train(method, scenario, task, *rest)

        monkeypatch.setattr(module, "train_task", stopping)
        with pytest.raises(KeyboardInterrupt):
            run_cell(cell(method, **training), checkpoint=path)
        monkeypatch.setattr(module, "train_task", train)
        torch.manual_seed(stop)
        begun: list[int] = []

        def counting(method, scenario, task, *rest, begun=begun):
            begun.append(task.id)
            train(method, scenario, task, *rest)

        monkeypatch.setattr(module, "train_task", counting)
        assert run_cell(cell(method, **training), checkpoint=path).comparable() == whole.comparable()
        assert begun == list(range(stop, TASKS))
        monkeypatch.setattr(module, "train_task", train)


def interrupted(path: Path, monkeypatch, method: str = "er") -> None:
    import benchmarks.cell.run as module

    train = module.train_task

    def stopping(method, scenario, task, *rest):
        if task.id == 1:
            raise KeyboardInterrupt
        train(method, scenario, task, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_task", stopping)
        with pytest.raises(KeyboardInterrupt):
            run_cell(cell(method), checkpoint=path)


def loaded(path: Path, wanted: CellSettings | None = None) -> Progress | None:
    wanted = wanted or cell("er")
    return load_checkpoint(path, wanted, wanted.scenario.build(wanted.seed, None, wanted.scenario_name), "cpu")


def test_a_checkpoint_of_other_settings_or_code_or_a_broken_one_is_not_used(tmp_path, monkeypatch):
    path = tmp_path / "cell.pt"
    interrupted(path, monkeypatch)
    progress = loaded(path)
    assert progress is not None
    assert progress.done == 1
    with pytest.warns(UserWarning, match="cell.pt: of another run, with other identity; not used"):
        assert loaded(path, cell("er", epochs=3)) is None
    assert loaded(tmp_path / "none.pt") is None
    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.request.repository.commit", lambda: "another")
        assert loaded(path) is not None  # of a commit that changed nothing of this cell
    with monkeypatch.context() as patch:
        other = source_of("er", "split") | {"methods/er.py": "0" * 16}
        patch.setattr("benchmarks.cell.checkpoint.source_of_cell", lambda cell: other)
        with pytest.warns(UserWarning, match="with other source; not used"):
            assert loaded(path) is None
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"cell.pt: its checksum .* set aside as cell.broken.pt"):
        assert run_cell(cell("er"), checkpoint=path).status == "done"
    assert (tmp_path / "cell.broken.pt").is_file()


def test_checkpoints_hold_no_data_set(tmp_path, monkeypatch):
    sizes = {}
    for method in ("finetune", "joint"):
        path = tmp_path / f"{method}.pt"
        interrupted(path, monkeypatch, method)
        sizes[method] = path.stat().st_size
    digits = 60 * TASKS * 64
    assert sizes["joint"] < 2 * sizes["finetune"]
    assert sizes["finetune"] < 40_000 + digits


def test_a_method_that_cannot_be_stored_runs_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(Joint, "footprint", lambda self: setattr(self, "oops", lambda: None) or {})
    path = tmp_path / "cell.pt"
    with pytest.warns(UserWarning, match="no checkpoint after 1 tasks"):
        assert run_cell(cell("joint"), checkpoint=path).status == "done"
    assert not path.exists()


def test_the_runner_removes_the_checkpoint_of_a_finished_cell(tmp_path):
    from benchmarks.executors.local import run_local
    from benchmarks.records.store import Store

    wanted = cell("finetune")
    start = time.time()
    outcomes = list(run_local([wanted], tmp_path, None, ["cpu"]))
    assert [o.status for o in outcomes] == ["done"], time.time() - start
    store = Store(tmp_path)
    assert store.path(wanted).is_file()
    assert not store.checkpoint(wanted).exists()
    assert store.checkpoint(wanted).parent.is_dir()  # there was one on the way
