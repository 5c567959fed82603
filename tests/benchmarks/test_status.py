"""`status`, once and again and again, and the bar of `run`: how far the cells have come that run."""

import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmarks.cell.run import run_cell
from benchmarks.cli import status as module
from benchmarks.cli.app import app
from benchmarks.cli.progress import MOST_LINES, run_with_progress
from benchmarks.executors.contract import Outcome, outcome_of
from benchmarks.records.cell_progress import CellProgress
from benchmarks.records.claims import Claims
from benchmarks.records.store import Store
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.repository import ROOT
from tests.benchmarks.helpers import cells, forked_workers, suite_file

AT = CellProgress(tasks=5, done=2, phase="train", epoch=12, epochs=70, loss=0.41234, accuracy=0.836, left=151.2)
SHOWN = "task 3/5, epoch 12/70, loss 0.4123, accuracy 83.6% after task 2, left 2:31"


@pytest.fixture
def asked(tmp_path):
    """A suite of one's own, of two cells, with the first claimed and at `AT`."""
    file = suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}}")
    first, second = make_grid(load_suite(str(file))).cells
    claims = Claims(tmp_path / "results" / "runs" / "tiny")
    assert claims.take(first, "cuda:1")
    claims.note(first, progress=AT)
    return file, tmp_path / "results", claims, (first, second)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_status_tells_what_runs_where_and_how_far_it_has_come(asked):
    file, results, claims, (first, _) = asked
    done = invoke("status", file, "--results-dir", results)
    (line,) = (line for line in done.output.splitlines() if line.startswith("running"))
    assert line.startswith(f"running: {first.label}: on ")
    assert " (cuda:1) since 20" in line
    assert line.endswith(SHOWN)
    claims.note(first, progress=CellProgress(tasks=5, warning="tracker x failed\x1b[31m"))
    done = invoke("status", file, "--results-dir", results)
    assert "0 of 5 tasks done (tracker x failed\\x1b[31m)" in done.output


def test_a_cell_that_two_rows_stand_for_runs_once(tmp_path):
    file = suite_file(tmp_path, "{er: {buffer_size: 10}, er-b: {method: er, buffer_size: 10}}")
    first, _ = make_grid(load_suite(str(file))).cells
    Claims(tmp_path / "results" / "runs" / "tiny").take(first)
    lines = invoke("status", file, "--results-dir", tmp_path / "results").output.splitlines()
    assert [line.partition(": on ")[0] for line in lines if line.startswith("running")] == [f"running: {first.label}"]


def test_watching_goes_on_until_nothing_is_left_to_run_and_nothing_runs(asked, monkeypatch):
    file, results, claims, (first, second) = asked
    store = Store(results / "runs" / "tiny")
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 1:
            store.save(run_cell(second))
        elif len(looks) == 2:
            store.save(run_cell(first))  # its claim is there still
        else:
            claims.release(first)

    monkeypatch.setattr(module.time, "sleep", sleep)
    done = invoke("status", file, "--results-dir", results, "--watch", "0.5")
    assert done.exit_code == 0, done.output
    assert looks == [0.5] * 3
    lines = done.output.splitlines()
    assert [line.partition("  ")[2] for line in lines if line[2:3] == ":"] == [
        "0 done, 2 missing, 0 failed, 0 diverged",
        "1 done, 1 missing, 0 failed, 0 diverged",
        "2 done, 0 missing, 0 failed, 0 diverged",
    ]
    assert sum(SHOWN in line for line in lines) == 3
    assert lines[-1] == "2 done, 0 missing, 0 failed, 0 diverged"


@pytest.mark.parametrize("words", [["--watch"], ["--watch", "--seeds", "1"], ["--watch", "3"], ["--watch=3"]])
def test_the_seconds_may_be_left_out(asked, words):
    file, results, claims, both = asked
    claims.release(both[0])
    for cell in both:
        Store(results / "runs" / "tiny").save(run_cell(cell))
    done = invoke("status", file, "--results-dir", results, *words)
    assert done.exit_code == 0, done.output
    assert "2 done" in done.output
    assert invoke("status", file, "--watch", "0").exit_code == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_ends_watching_with_130(asked, terminal):
    file, results, *_ = asked
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | ({"FORCE_COLOR": "1"} if terminal else {})
    words = [sys.executable, "-m", "benchmarks", "status", file, "--results-dir", results, "--watch", "0.2"]
    watching = subprocess.Popen(
        [str(word) for word in words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = ""
    while SHOWN not in seen:
        line = watching.stdout.readline()
        assert line, watching.stderr.read()
        seen += line
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert "stopped by SIGINT" in said
    assert "Traceback" not in said


def test_the_bar_shows_the_cells_that_run(tmp_path):
    found = cells("finetune", seeds=MOST_LINES + 2)
    claims = Claims(tmp_path)
    for cell in found:
        claims.take(cell)
        claims.note(cell, progress=AT)
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100, height=40)

    def execute(chosen):
        time.sleep(1.5)
        yield from ()

    assert run_with_progress(console, found, execute, 1, tmp_path) == []
    assert f"{found[0].label}: {SHOWN}"[:99] in text.getvalue()
    assert "and 2 more" in text.getvalue()


def test_a_warning_is_said_once(tmp_path):
    text = io.StringIO()
    found = cells("finetune", seeds=3)

    def execute(chosen):
        for cell in chosen:
            yield Outcome(cell, "done", None, 1.0, 0.5, warnings=("tracker x failed",))

    run_with_progress(Console(file=text, width=100), found, execute, 1, tmp_path)
    assert text.getvalue().count("tracker x failed") == 1


def test_run_with_a_tracker(asked, monkeypatch):
    from tests.benchmarks.test_watch import assert_event_files_hold

    file, results, claims, (first, _) = asked
    claims.release(first)
    forked_workers(monkeypatch)
    done = invoke("run", file, "--results-dir", results, "--workers", "1", "--track", "tensorboard")
    assert done.exit_code == 0, done.output
    scan = Store(results / "runs" / "tiny").scan()
    assert len(scan.records) == 2
    for identity, record in scan.records.items():
        stem = scan.places[identity].removesuffix(".json")
        assert_event_files_hold(results / "tracked" / "tensorboard" / "tiny" / stem, record)
        assert outcome_of(first, record).warnings == ()
    assert "note:" not in done.output
    assert threading.active_count() < 10
