"""The local executor: workers that die, grids that are interrupted and go on."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.executors.local import StorageFailed, _ending, run_local
from benchmarks.progress import Remaining, clock
from benchmarks.store import Store
from tests.benchmarks.helpers import cells, suite_file

METHOD_THAT_KILLS_ITS_PROCESS = """
import os, signal, pathlib
from methods import METHODS
def deadly(self, task):
    marker = pathlib.Path({marker!r})
    if {always} or not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
METHODS["si"].end_task = deadly
"""


def test_only_a_killed_worker_is_called_out_of_memory():
    assert _ending(-signal.SIGKILL) == "signal 9 (SIGKILL: out of memory is the usual cause)"
    assert _ending(-signal.SIGSEGV) == "signal 11 (SIGSEGV: a fault in compiled code, of torch or another library)"
    assert _ending(3) == "exit code 3"


def run_patched(tmp_path, always: bool):
    """Runs a grid in which the cells of `si` kill their worker: always, or the first time only."""
    marker = tmp_path / "died"
    patch = METHOD_THAT_KILLS_ITS_PROCESS.format(marker=str(marker), always=always)
    script = tmp_path / "main.py"
    script.write_text(
        f"""
{patch}
from pathlib import Path
from benchmarks.executors.local import run_local
from tests.benchmarks.helpers import cells
if __name__ == "__main__":
    for o in run_local(cells("finetune", "si", "er"), Path({str(tmp_path / "runs")!r}), None, ["cpu"]):
        print(o.cell.method_name, o.status, o.error, flush=True)
"""
    )
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, Store(tmp_path / "runs").scan()


def test_a_worker_killed_once_costs_one_try(tmp_path):
    out, scan = run_patched(tmp_path, always=False)
    assert sorted(r.method for r in scan.records.values() if r.status == "done") == ["er", "finetune", "si"]
    assert "failed" not in out


def test_a_worker_that_is_always_killed_becomes_a_failed_record_and_the_grid_goes_on(tmp_path):
    out, scan = run_patched(tmp_path, always=True)
    statuses = {r.method: r.status for r in scan.records.values()}
    assert statuses == {"finetune": "done", "si": "failed", "er": "done"}
    error = next(r.error for r in scan.records.values() if r.status == "failed")
    assert "SIGKILL" in error
    assert "si failed" in out


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_leaves_whole_records_and_the_rest_runs_later(tmp_path, number):
    suite = suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 5}, si: {}, gem: {buffer_size: 10}}", seeds=4)
    results = tmp_path / "results"
    command = [sys.executable, "-m", "benchmarks", "run", str(suite), "--results-dir", str(results), "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folder = results / "runs" / "tiny"
    deadline = time.time() + 60
    while not list(folder.glob("*.json")) and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130, out
    assert "the same command continues" in out
    scan = Store(folder).scan()
    assert scan.problems == []
    assert 0 < len(scan.records) < 16
    assert not list(folder.glob(".*.tmp"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(scan.records)} done" in done.stdout
    assert len(Store(folder).scan().records) == 16
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "0 to run" in again.stdout


def test_time_left_is_from_cells_of_the_same_kind():
    from benchmarks.executors.local import Outcome

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
    uneven = cell.model_copy(update={"scenario": cell.scenario.model_copy(update={"tasks": 3})})
    (outcome,) = run_local([uneven], tmp_path, None, ["cpu"])
    assert outcome.status == "failed"
    assert "evenly" in outcome.error


def test_records_are_json_on_disk(tmp_path):
    list(run_local(cells("finetune"), tmp_path, None, ["cpu"]))
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["status"] == "done"
