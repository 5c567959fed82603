"""The Slurm executor, with submitit's jobs on this machine; `slurm_on_debian.sh` shows it on Slurm itself."""

import json
import os
import time
from pathlib import Path

import pytest

from benchmarks.cell.run import failed_record, run_cell
from benchmarks.executors import on_slurm, slurm_queue
from benchmarks.executors.local import run_local
from benchmarks.executors.node import Job
from benchmarks.executors.on_slurm import CellJob, minutes, parse_options, run_on_slurm
from benchmarks.executors.queue import versions
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.watch.choice import QUIET, TrackerChoice, Watching
from tests.benchmarks.helpers import cells, with_stream
from tests.benchmarks.test_watch import assert_event_files_hold

pytest.importorskip("submitit", reason="submitit is not installed: pip install -r requirements-slurm.txt")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(on_slurm, "LOOK", 0.5)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def test_records_are_those_of_a_local_run(tmp_path):
    wanted = cells("finetune", seeds=2)
    watching = Watching(trackers=(TrackerChoice("tensorboard", tmp_path / "tracked"),))
    outcomes = list(run_on_slurm(wanted, tmp_path / "jobs", None, {}, cluster="local", watching=watching))
    assert [o.status for o in outcomes] == ["done", "done"]
    assert all(o.where.startswith("job ") for o in outcomes)
    list(run_local(wanted, tmp_path / "local", None, ["cpu"]))
    theirs, ours = (Store(tmp_path / name).scan().records for name in ("jobs", "local"))
    assert {k: r.comparable() for k, r in theirs.items()} == {k: r.comparable() for k, r in ours.items()}
    for cell in wanted:
        folder = tmp_path / "tracked" / "jobs" / Store(tmp_path).path(cell).stem
        assert_event_files_hold(folder, theirs[cell.identity])


def test_a_job_that_leaves_no_record_is_a_failed_record_with_what_it_printed(tmp_path):
    (cell,) = cells("finetune")
    absent = with_stream(cell, {"data": "mnist"})
    jobs = run_on_slurm([absent], tmp_path, str(tmp_path / "nowhere"), {}, cluster="local")
    (outcome,) = jobs
    assert outcome.status == "failed"
    record = Store(tmp_path).find(absent)
    assert "left Slurm's queue without a record" in record.error
    assert "DataNotFound" in record.error


def test_a_job_that_fails_beside_a_good_record_is_told_as_it_failed(tmp_path):
    (cell,) = cells("finetune")
    store = Store(tmp_path)
    store.save(run_cell(cell))
    before = versions(store, [cell])
    store.save(failed_record(cell, "boom", 0.0))
    (outcome,) = on_slurm._outcomes([cell], store, {cell.identity: "7"}, {}, before)
    assert (outcome.status, outcome.error, outcome.where) == ("failed", "boom", "job 7")
    assert store.find(cell).status == "done"


def test_a_job_started_again_whose_record_exists_ends_at_once(tmp_path):
    (cell,) = cells("finetune")
    job = CellJob(cell, Job(str(tmp_path), None, "cpu", 1, QUIET, on_slurm.Limits(), "run"), None)
    assert job() == "done"
    path = Store(tmp_path).path(cell)
    before = path.stat()
    start = time.monotonic()
    assert job.checkpoint().function() == "done"
    assert time.monotonic() - start < 1
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_jobs_of_an_earlier_run_are_not_submitted_again(tmp_path, monkeypatch):
    wanted = cells("finetune", seeds=2)
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "7.cells.json").write_text(json.dumps({wanted[0].identity: "7_0"}))
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "squeue").write_text("#!/bin/sh\necho '7_0 RUNNING'\n")
    (tools / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    assert slurm_queue.submitted(tmp_path) == {wanted[0].identity: ("7_0", "RUNNING")}
    new = []
    monkeypatch.setattr(on_slurm, "_submit", lambda chosen, *_: new.extend(chosen) or [])
    assert list(run_on_slurm(wanted, tmp_path, None, {"time": "1"}, detach=True)) == []
    assert new == wanted[1:]


@pytest.mark.parametrize(
    ("text", "expected"), [("30", 30), ("90:00", 90), ("4:00:00", 240), ("0:00:30", 1), ("1-2", 1560), ("1-2:30", 1590)]
)
def test_times_of_slurm(text, expected):
    assert minutes(text) == expected


def test_options_are_checked():
    assert parse_options("partition=gpu,time=4:00:00,gpus=1") == {"partition": "gpu", "time": "4:00:00", "gpus": "1"}
    for wrong, said in (("gpu", "option=value"), ("partition=a", "time=4:00:00"), ("time=soon", "say minutes")):
        with pytest.raises(SettingsError, match=said):
            parse_options(wrong)
