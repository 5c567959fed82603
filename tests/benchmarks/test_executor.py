"""The local executor: workers that die, grids that are interrupted and go on."""

import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cell.run import failed_record, run_cell
from benchmarks.cli.app import app, main
from benchmarks.cli.progress import Remaining
from benchmarks.executors.contract import Limits, Outcome, StorageFailed
from benchmarks.executors.local import _receive, run_local
from benchmarks.executors.node import Job, run_on_node
from benchmarks.executors.on_ray import _stored
from benchmarks.executors.queue import versions
from benchmarks.executors.signals import stopped_by_signals
from benchmarks.records.cell_progress import clock
from benchmarks.records.claims import Claims
from benchmarks.records.store import Store
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.watch.choice import QUIET
from methods import METHODS
from tests.benchmarks.helpers import (
    cells,
    ends,
    forked_workers,
    left_by_a_killed_process,
    lives,
    suite_file,
    with_stream,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    forked_workers(monkeypatch)


def dies(monkeypatch, tmp_path, *ways):
    """The cells of `si` end their process at the end of their first task: in the first way at the first try, ..."""
    tries = tmp_path / "tries"

    def end_task(self, task):
        with open(tries, "a") as file:
            file.write("x")
        number = tries.stat().st_size
        print("try", number)
        if number <= len(ways):
            ways[number - 1]()

    monkeypatch.setattr(METHODS["si"], "end_task", end_task)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_killed_once_costs_one_try(tmp_path, monkeypatch):
    dies(monkeypatch, tmp_path, killed)
    outcomes = list(run_local(cells("finetune", "si", "er"), tmp_path, None, ["cpu"]))
    assert [(o.cell.method_name, o.status) for o in outcomes] == [("finetune", "done"), ("si", "done"), ("er", "done")]


def test_a_worker_that_dies_each_time_is_a_failed_record_that_says_how_and_the_grid_goes_on(tmp_path, monkeypatch):
    dies(monkeypatch, tmp_path, lambda: os._exit(3), lambda: ctypes.string_at(0))
    outcomes = {o.cell.method_name: o for o in run_local(cells("finetune", "si", "er"), tmp_path, None, ["cpu"])}
    assert {name: o.status for name, o in outcomes.items()} == {"finetune": "done", "si": "failed", "er": "done"}
    assert outcomes["si"].error == "the worker died 2 times: exit code 3; signal 11 (SIGSEGV)"
    (record,) = (r for r in Store(tmp_path).scan().records.values() if r.status == "failed")
    assert record.error.splitlines()[-1] == outcomes["si"].error
    assert "try 2\nFatal Python error: Segmentation fault" in record.error
    assert "memory" not in record.error


def test_a_kill_for_want_of_memory_is_told_from_others(tmp_path, monkeypatch):
    counter = tmp_path / "counter"
    counter.write_text("7")
    monkeypatch.setattr("benchmarks.executors.ends.oom_kills", lambda: int(counter.read_text()))

    def exhausted():
        counter.write_text("8")
        killed()

    dies(monkeypatch, tmp_path, killed, exhausted)
    (outcome,) = run_local(cells("si"), tmp_path / "runs", None, ["cpu"])
    causes = outcome.error.removeprefix("the worker died 2 times: ").split("; ")
    assert causes[0] == "signal 9 (SIGKILL)"
    assert causes[1] == "signal 9 (SIGKILL), while the system killed processes because its memory was full"


def test_a_worker_that_dies_once_its_record_is_written_has_done_its_cell(tmp_path, monkeypatch):
    save = Store.save

    def save_and_die(self, record):
        save(self, record)
        if os.getpid() != runner:
            killed()

    runner = os.getpid()
    monkeypatch.setattr(Store, "save", save_and_die)
    grid = cells("finetune", "er")
    outcomes = list(run_local(grid, tmp_path, None, ["cpu"]))
    assert [o.status for o in outcomes] == ["done", "done"]
    assert {r.status for r in Store(tmp_path).scan().records.values()} == {"done"}
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(Store(tmp_path).path(cell) for cell in grid)


def test_a_record_of_before_does_not_count_as_that_of_a_worker_that_died(tmp_path, monkeypatch):
    (cell,) = cells("si")
    Store(tmp_path).save(run_cell(cell))
    dies(monkeypatch, tmp_path, killed, killed)
    (outcome,) = run_local([cell], tmp_path, None, ["cpu"])
    assert outcome.status == outcome.record.status == "failed"
    assert Store(tmp_path).find(cell).status == "done"  # kept all the same


def raises(monkeypatch, method):
    def end_task(self, task):
        raise RuntimeError("my bug")

    monkeypatch.setattr(METHODS[method], "end_task", end_task)


def test_a_node_tells_of_its_run_and_not_of_the_record_that_lay_there(tmp_path, monkeypatch):
    """As Ray brings it home: where the node shares the folder, and where it does not."""
    (cell,) = cells("si")
    store, claims = Store(tmp_path / "runs"), Claims(tmp_path / "runs")
    store.save(run_cell(cell))
    claims.take(cell)
    raises(monkeypatch, "si")
    for run in (claims.run, "another"):
        job = Job(str(store.folder), None, "cpu", 1, QUIET, Limits(), run)
        outcome = _stored(cell, store, *run_on_node(job, cell))
        assert (outcome.status, outcome.error) == ("failed", "RuntimeError: my bug")
        assert store.find(cell).status == "done"
        assert "in end_task" in store.failures()[cell.identity].error
        store.failure(cell).unlink()


def test_a_failure_of_another_run_counts_as_done_also_beside_a_good_record(tmp_path, monkeypatch):
    (cell,) = cells("si")
    store = Store(tmp_path)
    store.save(run_cell(cell))
    before = versions(store, [cell])
    store.save(failed_record(cell, "boom", 0.0))
    (outcome,) = run_local([cell], tmp_path, None, ["cpu"], before=before)
    assert (outcome.status, outcome.error, outcome.where) == ("failed", "boom", "another run")
    (outcome,) = run_local([cell], tmp_path, None, ["cpu"])
    assert (outcome.status, outcome.where) == ("done", "")
    assert store.failures() == {}


def test_of_two_rows_with_the_same_settings_the_first_is_looked_for(tmp_path):
    (cell,) = cells("si")
    other = replace(cell, method_name="si-again")
    store = Store(tmp_path)
    store.save(run_cell(cell))
    (outcome,) = run_local([cell], tmp_path, None, ["cpu"], before=versions(store, [cell, other]))
    assert (outcome.status, outcome.where) == ("done", "")


def test_what_a_worker_killed_in_mid_write_leaves_is_removed(tmp_path, monkeypatch):
    runner, marker, put = os.getpid(), tmp_path / "died", os.replace

    def replace(source, target):
        if os.getpid() != runner and target.suffix == ".json" and not marker.exists():
            marker.touch()
            killed()
        put(source, target)

    monkeypatch.setattr(os, "replace", replace)
    (outcome,) = run_local(cells("finetune"), tmp_path / "runs", None, ["cpu"])
    assert marker.exists()
    assert outcome.status == "done"
    assert [p.suffix for p in (tmp_path / "runs").rglob("*") if p.is_file()] == [".json"]


def test_a_new_worker_follows_one_whose_gpu_is_lost(tmp_path, monkeypatch):
    pids = tmp_path / "pids"

    def ends_with(message):
        def end_task(self, task):
            with open(pids, "a") as file:
                print(self.__class__.__name__, os.getpid(), file=file)
            if message:
                raise RuntimeError(message)

        return end_task

    monkeypatch.setattr(METHODS["si"], "end_task", ends_with("CUDA error: device-side assert triggered"))
    monkeypatch.setattr(METHODS["ewc"], "end_task", ends_with("some other error"))
    for method in ("er", "finetune"):
        monkeypatch.setattr(METHODS[method], "end_task", ends_with(None))
    outcomes = list(run_local(cells("ewc", "si", "er", "finetune"), tmp_path / "runs", None, ["cpu"]))
    assert [o.status for o in outcomes] == ["failed", "failed", "done", "done"]
    ewc, si, er, finetune = dict(line.split() for line in pids.read_text().splitlines()).values()
    assert ewc == si != er == finetune


def test_a_message_cut_short_by_death_is_none():
    ours, theirs = multiprocessing.Pipe()
    os.write(theirs.fileno(), b"\0\0\1\0half")  # 256 bytes announced
    theirs.close()
    assert _receive(ours) is None


def test_a_stopped_worker_ends_with_the_run(tmp_path):
    outcomes = run_local(cells("finetune", seeds=8), tmp_path, None, ["cpu"])
    next(outcomes)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGSTOP)
    outcomes.close()
    assert not lives(worker.pid)


def test_workers_end_with_a_runner_that_is_killed(tmp_path):
    """Also one that is stopped, which can do nothing about it itself."""
    ours, theirs = multiprocessing.Pipe()

    def run():
        outcomes = run_local(cells("finetune", seeds=8), tmp_path, None, ["cpu", "cpu"])
        next(outcomes)
        theirs.send([worker.pid for worker in multiprocessing.active_children()])
        signal.pause()

    runner = multiprocessing.get_context().Process(target=run)
    runner.start()
    workers = ours.recv()
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGSTOP)
    runner.kill()
    runner.join()
    assert [ends(pid) for pid in workers] == [True, True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_command_in_order(number, capsys, monkeypatch):
    """Also before there are workers; and a second one does not disturb the end of what the first has stopped."""
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"started so that {number.name} is ignored, as by nohup")
    ended = []

    def app():
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            os.kill(os.getpid(), number)
            ended.append(True)

    monkeypatch.setattr("benchmarks.cli.app.app", app)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 128 + number
    assert ended == [True]
    assert capsys.readouterr().err == f"stopped by {number.name}\n"
    assert signal.getsignal(number) == before


def test_nohup_holds():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform != "linux", reason="sees the worker in /proc")
def test_ctrl_c_while_workers_start_prints_no_traceback(tmp_path):
    """A terminal sends it to all of them."""
    suite = suite_file(tmp_path, "{finetune: {}}")
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "run",
        str(suite),
        "--results-dir",
        str(tmp_path / "results"),
        "--yes",
    ]
    process = subprocess.Popen(
        [*command, "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not any(is_worker_of(process.pid, path) for path in Path("/proc").glob("[0-9]*")):
        time.sleep(0.02)
    time.sleep(0.3)  # into its imports
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate()
    assert process.returncode == 128 + signal.SIGINT, out
    assert "Traceback" not in out
    assert "stopped by SIGINT" in out


def is_worker_of(runner: int, path: Path) -> bool:
    try:
        parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        return parent == runner and b"forkserver" in (path / "cmdline").read_bytes()
    except OSError:
        return False


def test_run_removes_what_killed_runs_left_also_where_all_is_done(tmp_path):
    suite, results = suite_file(tmp_path, "{finetune: {}}", seeds=2), tmp_path / "results"
    arguments = ["run", str(suite), "--results-dir", str(results), "--workers", "1", "--yes"]
    runner = CliRunner()
    assert runner.invoke(app, [*arguments, "--seeds", "1"]).exit_code == 0
    before = {path for path in results.rglob("*") if path.is_file()}
    store = Store(results / "runs" / "tiny")
    done, waiting = make_grid(load_suite(str(suite))).cells
    store.checkpoint(waiting).write_bytes(b"to be continued")
    for folder in (store.folder, store.folder / "unfinished"):
        left_by_a_killed_process(folder)
    store.checkpoint(done).write_bytes(b"left behind")
    again = runner.invoke(app, [*arguments, "--seeds", "1"])
    assert "0 to run" in again.output
    assert {path for path in results.rglob("*") if path.is_file()} == before | {store.checkpoint(waiting)}


def test_worker_count_does_not_change_results(tmp_path):
    grid = cells("finetune", "er", seeds=2)
    results = []
    for devices in (["cpu"], ["cpu", "cpu"]):
        folder = tmp_path / str(len(devices))
        outcomes = list(run_local(grid, folder, None, devices))
        assert len(outcomes) == 4
        records = Store(folder).scan().records
        results.append({k: r.comparable() for k, r in records.items()})
    assert results[0] == results[1]


def test_a_disk_that_fills_up_stops_the_grid_with_the_reason(tmp_path):
    folder = tmp_path / "runs"
    folder.write_text("a file where the folder should be")
    with pytest.raises(StorageFailed, match="finetune seed 0"):
        list(run_local(cells("finetune"), folder, None, ["cpu"]))


def test_interrupt_leaves_whole_records_and_the_rest_runs_later(tmp_path):
    suite = suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 5}, si: {}, gem: {buffer_size: 10}}", seeds=4)
    results = tmp_path / "results"
    command = [sys.executable, "-m", "benchmarks", "run", str(suite), "--results-dir", str(results), "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folder = results / "runs" / "tiny"
    while not list(folder.glob("*.json")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, out
    assert "the same command continues" in out
    scan = Store(folder).scan()
    assert scan.problems == []
    assert 0 < len(scan.records) < 16
    assert not list(folder.rglob(".*.tmp"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(scan.records)} done" in done.stdout
    assert len(Store(folder).scan().records) == 16
    again = CliRunner().invoke(app, command[3:])
    assert "0 to run" in again.output


def test_time_left_is_from_cells_of_the_same_kind():
    grid = cells("finetune", "gem", seeds=3)
    remaining = Remaining(grid, workers=2)
    by_name = {name: [c for c in grid if c.method_name == name] for name in ("finetune", "gem")}
    remaining.finished(Outcome(by_name["finetune"][0], "done", None, 2.0, 0.5))
    remaining.finished(Outcome(by_name["gem"][0], "done", None, 10.0, 0.5))
    assert remaining.left() == pytest.approx((2 * 2 + 2 * 10) / 2)
    assert clock(3723) == "1:02:03"
    assert clock(62) == "1:02"


def test_a_scenario_that_cannot_be_built_is_a_failed_record(tmp_path):
    cell = cells("finetune")[0]
    uneven = with_stream(cell, {"tasks": 3})
    (outcome,) = run_local([uneven], tmp_path, None, ["cpu"])
    assert outcome.status == "failed"
    assert "evenly" in outcome.error


def test_records_are_json_on_disk(tmp_path):
    list(run_local(cells("finetune"), tmp_path, None, ["cpu"]))
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["status"] == "done"
