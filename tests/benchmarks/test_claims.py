"""Runs that share a folder: each cell once, and none left by a run that dies."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from benchmarks.executors.contract import Limits
from benchmarks.executors.local import run_local
from benchmarks.records import claims as module
from benchmarks.records.cell_progress import CellProgress
from benchmarks.records.claims import Claim, Claims, live_claims
from benchmarks.records.store import Store
from methods import METHODS
from tests.benchmarks.helpers import cells, forked_workers

(CELL,) = cells("finetune")


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def elsewhere(claims):
    """Makes the claim of `claims` look like that of another machine."""
    path, claim = claims._own[CELL.identity]
    other = replace(claim, machine="another-1", host="another")
    path.write_bytes(other.content())
    return path, other


def test_a_cell_is_taken_once_and_again_when_it_is_given_up(tmp_path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take(CELL)
    assert not second.take(CELL)
    assert list(live_claims(tmp_path)) == [CELL.identity]
    first.release(CELL)
    assert second.take(CELL)
    second.release(CELL)
    assert list((tmp_path / "unfinished").iterdir()) == []


def test_a_later_claim_of_the_same_run_goes_with_the_first(tmp_path):
    """As where a node was lost, and a process of it took the cell and died after the runner had its record."""
    runner = Claims(tmp_path)
    runner.take(CELL)
    Claims(tmp_path, runner.run).take(CELL)
    assert len(list((tmp_path / "unfinished").iterdir())) == 2
    runner.release(CELL)
    assert list((tmp_path / "unfinished").iterdir()) == []


def test_of_many_that_start_together_one_takes_it(tmp_path):
    context = multiprocessing.get_context("fork")
    gate, results = context.Barrier(8), context.Queue()

    def take():
        gate.wait()
        results.put(Claims(tmp_path).take(CELL))
        gate.wait()  # the claim of one that has ended is dead

    processes = [context.Process(target=take) for _ in range(8)]
    for process in processes:
        process.start()
    assert sorted(results.get() for _ in processes) == [False] * 7 + [True]
    for process in processes:
        process.join()


def test_a_claim_of_another_machine_dies_when_it_has_not_changed_for_long(tmp_path, clock):
    first, second = Claims(tmp_path), Claims(tmp_path)
    first.take(CELL)
    path, claim = elsewhere(first)
    waited = 0.0
    while not second.take(CELL):
        clock.now += module.BEAT
        waited += module.BEAT
        assert waited < 2 * module.EXPIRY
        if waited == 5 * module.BEAT:  # a sign of life: all over again
            path.write_bytes(replace(claim, count=claim.count + 1).content())
    assert waited == 6 * module.BEAT + module.EXPIRY - module.BEAT
    second.release(CELL)
    assert list((tmp_path / "unfinished").iterdir()) == []


def test_who_was_stopped_himself_does_not_take_a_claim_for_dead(tmp_path, clock):
    first, second = Claims(tmp_path), Claims(tmp_path)
    first.take(CELL)
    elsewhere(first)
    assert not second.take(CELL)
    clock.now += 100 * module.EXPIRY
    assert not second.take(CELL)


@pytest.mark.parametrize("jump", [-(10**9), 10**9])
def test_a_clock_that_jumps_harms_nothing(tmp_path, monkeypatch, jump):
    first, second = Claims(tmp_path), Claims(tmp_path)
    first.take(CELL)
    elsewhere(first)
    assert not second.take(CELL)
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + jump)
    os.utime(tmp_path / "unfinished" / f"{CELL.identity}.claim1", (now - jump, now - jump))
    assert not second.take(CELL)


def test_a_run_that_lives_renews_its_claims(tmp_path, clock):
    claims = Claims(tmp_path)
    claims.take(CELL)
    claims.beat()
    assert live_claims(tmp_path)[CELL.identity].count == 0
    clock.now += module.BEAT
    claims.beat()
    long, short = CellProgress(tasks=5, done=3, phase="x" * 2000), CellProgress(tasks=5, done=4)
    for n, progress in enumerate((long, short), 2):  # a shorter one takes the place of all that a longer one wrote
        claims.note(CELL, progress=progress)
        assert (live_claims(tmp_path)[CELL.identity].count, live_claims(tmp_path)[CELL.identity].progress) == (
            n,
            progress,
        )


def test_a_run_that_was_thought_dead_leaves_the_claim_of_the_next_alone(tmp_path, clock):
    first, second = Claims(tmp_path), Claims(tmp_path)
    first.take(CELL)
    elsewhere(first)
    second.take(CELL)
    while not second.take(CELL):
        clock.now += module.BEAT
    first.release(CELL)
    clock.now += module.BEAT
    first.beat()
    assert live_claims(tmp_path)[CELL.identity].run == second.run
    assert not Claims(tmp_path).take(CELL)


def test_the_claim_of_a_process_of_this_machine_dies_with_it(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=lambda: Claims(tmp_path).take(CELL))
    process.start()
    process.join()
    assert len(list((tmp_path / "unfinished").iterdir())) == 1
    assert live_claims(tmp_path) == {}
    assert Claims(tmp_path).take(CELL)


def test_a_file_system_without_links_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "not here")

    monkeypatch.setattr(os, "link", refuse)
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take(CELL)
    assert not second.take(CELL)


def test_a_claim_half_written_is_alive(tmp_path):
    first = Claims(tmp_path)
    first.take(CELL)
    path, _ = elsewhere(first)
    path.write_bytes(path.read_bytes()[:40])
    assert Claim.of(path.read_bytes()) is None
    assert not Claims(tmp_path).take(CELL)


RUN = """
import sys, os, multiprocessing
from pathlib import Path
from tests.benchmarks.helpers import cells
from benchmarks.executors.worker import warm_up
from benchmarks.executors import queue
from benchmarks.executors.local import run_local
from methods import METHODS
queue.LOOK = 0.2
warm_up()
fork = multiprocessing.get_context("fork")
multiprocessing.get_context = lambda method=None: fork
folder, name = Path(sys.argv[1]), sys.argv[2]
def count(cls):
    begin = cls.begin_task
    def begin_task(self, task):
        if task.id == 0:
            with open(folder / "begun", "a") as file:
                print(cls.__name__, self.seed, name, file=file)
        begin(self, task)
    cls.begin_task = begin_task
grid = cells("finetune", "er", seeds=30)
for method in ("finetune", "er"):
    count(METHODS[method])
print("ready", flush=True)
sys.stdin.readline()
for outcome in run_local(grid, folder / "runs", None, ["cpu"]):
    print(outcome.status, outcome.where or "here", outcome.cell.label, flush=True)
"""


@pytest.mark.parametrize("kill", [False, True])
def test_two_runs_share_sixty_cells_and_one_killed_leaves_none(tmp_path, kill):
    """Without a kill each cell is begun once; with one, the other run finishes all, and begins one of them again."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in ("a", "b")
    ]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        run.stdin.write("\n")
        run.stdin.flush()
    if kill:
        for _ in range(5):
            runs[0].stdout.readline()
        runs[0].send_signal(signal.SIGKILL)
    out = [run.communicate()[0] for run in runs]
    assert runs[1].returncode == 0, out
    lines = out[1].splitlines()
    assert len(lines) == 60
    assert {line.split()[0] for line in lines} == {"done"}
    assert len(Store(tmp_path / "runs").scan().records) == 60
    begun = (tmp_path / "begun").read_text().splitlines()
    assert {line.split()[-1] for line in begun} == {"a", "b"}
    if kill:
        assert len(begun) in (60, 61)
    else:
        assert len(begun) == 60
        assert sum("here" in line for text in out for line in text.splitlines()) == 60
        assert list((tmp_path / "runs" / "unfinished").iterdir()) == []


def test_a_record_that_another_run_has_just_written_ends_a_cell_at_once(tmp_path, monkeypatch):
    from benchmarks.executors.queue import versions

    forked_workers(monkeypatch)
    store = Store(tmp_path)
    before = versions(store, [CELL])
    (first,) = run_local([CELL], tmp_path, None, ["cpu"])
    assert first.where == ""
    monkeypatch.setattr(METHODS["finetune"], "begin_task", lambda self, task: os._exit(1))
    (again,) = run_local([CELL], tmp_path, None, ["cpu"], before=before)
    assert (again.status, again.where, again.accuracy) == ("done", "another run", first.accuracy)


def test_a_cell_that_takes_too_long_costs_only_itself(tmp_path, monkeypatch):
    forked_workers(monkeypatch)

    def end_task(self, task):
        if task.id == 1:
            print("asleep", file=sys.stderr)
            time.sleep(100)

    monkeypatch.setattr(METHODS["si"], "end_task", end_task)
    wanted = cells("si", "finetune")
    outcomes = {
        o.cell.method_name: o for o in run_local(wanted, tmp_path, None, ["cpu"], limits=Limits(cell_timeout=5.0))
    }
    assert {name: o.status for name, o in outcomes.items()} == {"si": "failed", "finetune": "done"}
    record = Store(tmp_path).find(wanted[0])
    assert record.error.splitlines()[-1] == "stopped after 5 s, as --cell-timeout asks"
    assert "asleep" in record.error
    monkeypatch.undo()
    forked_workers(monkeypatch)
    resumed = []
    begin = METHODS["si"].begin_task
    monkeypatch.setattr(
        METHODS["si"],
        "begin_task",
        lambda self, task: ((tmp_path / f"begun{task.id}").touch(), begin(self, task))[1],
    )
    resumed = list(run_local(wanted[:1], tmp_path, None, ["cpu"]))
    assert resumed[0].status == "done"
    assert not (tmp_path / "begun0").exists()  # it went on from its last finished task


@pytest.mark.parametrize("retries", [0, 2])
def test_a_cell_is_tried_again_as_often_as_asked(tmp_path, monkeypatch, retries):
    forked_workers(monkeypatch)
    monkeypatch.setattr(METHODS["si"], "end_task", lambda self, task: os._exit(3))
    (outcome,) = run_local(cells("si"), tmp_path, None, ["cpu"], limits=Limits(max_retries=retries))
    assert outcome.error.count("exit code 3") == retries + 1


def test_the_record_of_a_cell_that_raises_says_what_it_printed(tmp_path, monkeypatch):
    forked_workers(monkeypatch)

    def end_task(self, task):
        print("a hint", file=sys.stderr)
        raise ValueError("no")

    monkeypatch.setattr(METHODS["si"], "end_task", end_task)
    (outcome,) = run_local(cells("si"), tmp_path, None, ["cpu"])
    assert outcome.error == "ValueError: no"
    (path,) = tmp_path.glob("*.json")
    assert "a hint" in json.loads(path.read_text())["error"]
