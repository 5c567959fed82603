"""Two processes train as one does: the same gradients, and the same state of every rank."""

import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import run_cell, train_task
from benchmarks.cli.app import main
from benchmarks.executors import torchrun as distributed
from benchmarks.executors.torchrun import process_group
from benchmarks.records.claims import Claims
from benchmarks.records.store import Store
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from methods import METHODS, OptimizerSettings, Recipe
from tests.benchmarks.helpers import ends
from tests.conftest import small_model, small_split

SMALL = {"buffer_size": 12, "finetune_epochs": 1, "pool": 6}
CASES = {
    "finetune": {},
    "er": {},
    "dytox": {"sam": 0.5},
    "dne": {},
    "l2p": {},
    "coda-prompt": {"ortho": 0.1},
}
# 40 images: batches of 16, 16 and 8; buffers make others, some of which two ranks cannot share evenly
RECIPE = Recipe(epochs=1, batch_size=16, optimizer=OptimizerSettings(lr=0.05))


def trained(name: str) -> dict[str, torch.Tensor]:
    """Every gradient of the last step and every weight after two tasks."""
    torch.set_num_threads(1)
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    known = METHODS[name]().hyperparameters()
    settings = {k: v for k, v in SMALL.items() if k in known} | CASES[name]
    method = METHODS[name].from_settings(settings).start(scenario, small_model(name, drop_path=0.0), RECIPE)
    trainer = Trainer()
    for task in scenario.tasks:
        train_task(method, scenario, task, trainer)
    result = {n: p.detach().clone() for n, p in method.network.named_parameters()}
    result |= {f"{n}.grad": p.grad.clone() for n, p in method.network.named_parameters() if p.grad is not None}
    if hasattr(method, "buffer"):
        stored = method.buffer.examples() if callable(method.buffer.examples) else method.buffer.examples
        result["buffer"] = stored.images
    return result | {"flops": torch.tensor(trainer.meter.total)}


def rank(index: int, folder: str) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=index, world_size=2, timeout=timedelta(seconds=300)
    )
    torch.save({name: trained(name) for name in CASES}, Path(folder) / f"{index}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        mp.spawn(rank, (str(folder),), nprocs=2)
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
    return [torch.load(folder / f"{index}.pt") for index in (0, 1)]


@pytest.mark.parametrize("name", CASES)
def test_gradients_and_weights_are_those_of_one_process(name, results):
    alone = trained(name)
    assert any(n.endswith(".grad") for n in alone)
    for together in results:
        assert together[name].keys() == alone.keys()
        for part, value in alone.items():
            if part == "flops":
                continue
            torch.testing.assert_close(
                together[name][part], value, rtol=1e-4, atol=1e-5, msg=lambda m, p=part: f"{p}: {m}"
            )


@pytest.mark.parametrize("name", CASES)
def test_all_ranks_hold_the_same_bit_for_bit(name, results):
    one, other = (r[name] for r in results)
    for part in one:
        assert torch.equal(one[part], other[part]), part


def test_the_work_is_divided(results):
    assert results[0]["dytox"]["flops"] < 0.75 * trained("dytox")["flops"]


def test_torchrun_trains_a_suite_together(tmp_path):
    """The command itself: two processes, one record a cell, the matrix of one process up to rounding."""
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    arguments = ["-m", "benchmarks", "run", str(suite_of_one(tmp_path)), "--results-dir"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    commands = {
        "two": [*torchrun, *arguments, str(tmp_path / "two"), "--ddp", "--keep-logs"],
        "one": [sys.executable, *arguments, str(tmp_path / "one"), "--workers", "1"],
    }
    records = {}
    for name, command in commands.items():
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        if name == "two":
            assert done.stdout.count("suite together: 3 cells") == 1  # rank 0 speaks for all
            assert done.stdout.count("split-digits/class dytox seed 0: done") == 1
        scan = Store(tmp_path / name / "runs/together").scan()
        assert not scan.problems
        records[name] = {r.method: r for r in scan.records.values()}
        assert set(records[name]) == {"finetune", "dytox", "apart"}
    for method, alone in records["one"].items():
        together = records["two"][method]
        assert together.identity == alone.identity
        assert together.environment["processes"] == 2
        for mine, theirs in zip(together.matrix.correct, alone.matrix.correct, strict=True):
            assert all(a is b is None or abs(a - b) <= 2 for a, b in zip(mine, theirs, strict=True))
    # the budget is that of both processes together; where each chooses from all data, the two may choose alike
    assert [d["exemplars"] for d in records["two"]["dytox"].diagnostics] == [12, 12]
    assert all(6 <= d["exemplars"] <= 12 for d in records["two"]["apart"].diagnostics)
    logs = list((tmp_path / "two/runs/together/logs").iterdir())
    assert len(logs) == 3
    assert all((log / "task2.pt").exists() for log in logs)


def test_torchrun_leaves_a_cell_to_the_run_that_has_it(tmp_path):
    suite = suite_of_one(tmp_path)
    cell = make_grid(load_suite(str(suite), methods=["finetune"])).cells[0]
    store = Store(tmp_path / "results/runs/together")
    claims = Claims(store.folder)
    assert claims.take(cell)
    command = [sys.executable, "-u", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += [
        "benchmarks",
        "run",
        str(suite),
        "--methods",
        "finetune",
        "--results-dir",
        str(tmp_path / "results"),
        "--ddp",
    ]
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")} | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        said = ""
        while "suite together" not in said:  # it has looked for records and found none
            line = run.stdout.readline()
            assert line, said
            said += line
        store.save(run_cell(cell))
        claims.release(cell)
        said += run.stdout.read()
    assert run.returncode == 0, said
    assert "finetune seed 0: done, by another run" in said
    (record,) = store.scan().records.values()
    assert "processes" not in record.environment


def suite_of_one(folder: Path) -> Path:
    path = folder / "together.yaml"
    path.write_text(
        """
title: one memory, and one divided
seeds: 1
scenarios:
  split-digits/class: {stream: split, data: digits, setting: class, tasks: 2, samples_per_task: 64, class_order: [0, 1, 2, 3]}
methods:
  finetune:
  dytox: &small
    model: {backbone: task-transformer, dim: 24, heads: 3, depth: 1, drop_path: 0.0}
    buffer_size: 12
    finetune_epochs: 1
  apart: {<<: *small, method: dytox, memory: distributed, ranks: 2}
model: {hidden: [16]}
training: {epochs: 2, batch_size: 16}
"""
    )
    return path


def test_a_rank_ends_with_the_torchrun_that_started_it():
    """Also where it is stopped, or waits for other ranks."""
    ours, theirs = multiprocessing.Pipe()
    fork = multiprocessing.get_context("fork")

    def one_rank():
        os.environ |= {
            "RANK": "0",
            "LOCAL_RANK": "0",
            "WORLD_SIZE": "1",
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": "0",
        }
        with process_group():
            theirs.send(os.getpid())
            signal.pause()

    def torchrun():
        distributed._PARENT = os.getpid()  # as read in the new process
        fork.Process(target=one_rank).start()
        signal.pause()

    started_by = fork.Process(target=torchrun)
    started_by.start()
    pid = ours.recv()
    os.kill(pid, signal.SIGSTOP)
    started_by.kill()
    started_by.join()
    assert ends(pid)


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({}, [], "--ddp runs under torchrun"),
        ({"RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}, ["--workers", "2"], "--nproc-per-node"),
    ],
)
def test_what_ddp_refuses(environment, arguments, message, tmp_path, monkeypatch, capsys):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "run", str(suite_of_one(tmp_path)), "--ddp", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_the_makefile_starts_torchrun():
    def said(*variables: str) -> str:
        # also where make runs these tests: the one asked here is not to take part in that one
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        command = ["make", "--no-print-directory", "-n", "bench-cifar", *variables]
        root = Path(__file__).parents[2]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        return shlex.join(shlex.split(done.stdout.splitlines()[-1]))  # without quotes that are not needed

    together = said("GPUS=0,1", "DDP=1", "LOGS=1")
    assert together.startswith("CUDA_VISIBLE_DEVICES=0,1 ")
    assert "torch.distributed.run --standalone --nproc-per-node 2 -m benchmarks run cifar100-b0" in together
    assert "--ddp" in together
    assert "--keep-logs" in together
    assert "--gpus" not in together
    assert said("GPUS=0,1").endswith("--gpus 0,1")
