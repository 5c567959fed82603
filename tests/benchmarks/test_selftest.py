"""`selftest`: the checks run on the processor, and what is wrong becomes a row and not an end."""

import json
import time

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cell.environment import environment
from benchmarks.cli.app import app, main
from benchmarks.selftest import checks, run
from benchmarks.selftest.cells import TASKS, cell_of, differences, furthest, outcome
from benchmarks.selftest.checks import CHECKS, Failed, LeftOut, Row, perform, plan
from benchmarks.selftest.throughput import matmul_peak
from methods import METHODS
from tests.test_makefile import said


def test_every_method_has_a_cell_and_every_check_its_turn():
    whole = plan(quick=False)
    for check in ("fp32", "bf16", "fp16", "resume"):
        assert {subject for c, subject in whole if c == check} == set(METHODS)
    assert {check for check, _ in whole} == set(CHECKS)
    assert set(plan(quick=True)) < set(whole)
    assert all(cell_of(name).scenario.tasks == TASKS for name in METHODS)


def test_quick_on_the_processor(tmp_path):
    result = CliRunner().invoke(app, ["selftest", "--device", "cpu", "--quick", "--results-dir", str(tmp_path)])
    (path,) = (tmp_path / "selftest").glob("*.json")
    document = json.loads(path.read_text())
    rows = document["checks"]
    assert [(row["check"], row["subject"]) for row in rows] == plan(quick=True)
    # how fast a loaded machine is proves nothing here; all else must hold
    assert [row for row in rows if not row["passed"] and row["check"] != "throughput"] == []
    assert result.exit_code == (0 if document["passed"] else 1)
    assert document["passed"] == all(row["passed"] is not False for row in rows)
    assert document["environment"]["device"] == "cpu"
    fp32 = next(row for row in rows if row["check"] == "fp32")
    assert fp32["figures"]["loss_difference"] == 0.0  # the same processor
    assert "largest loss difference" in result.output


def test_a_check_that_fails_is_a_row_with_its_reason(monkeypatch):
    def raises(error):
        def check(subject, device, quick):
            raise error

        return check

    for error, passed, said_of_it in (
        (Failed("losses differ by 40.0%"), False, "losses differ by 40.0%"),
        (ValueError("two\nlines"), False, "ValueError: two lines"),
        (LeftOut("one card alone"), None, "one card alone"),
    ):
        monkeypatch.setitem(CHECKS, "fp32", raises(error))
        assert perform("fp32", "er", "cpu", True) == Row("fp32", "er", passed, said_of_it)


def test_a_record_that_is_not_the_processor_s_fails(monkeypatch):
    record, losses = outcome("finetune", "cpu")
    right = record.matrix.correct
    other = record.model_copy(
        update={
            "steps": record.steps + 1,
            "matrix": record.matrix.model_copy(update={"correct": [[0 if n else n for n in row] for row in right]}),
        }
    )
    assert differences(record, record, 0.0) == []
    assert any(n for row in right for n in row)
    found = differences(record, other, 0.1)
    assert found[0] == f"steps {record.steps} and {record.steps + 1}"
    assert any("right" in line for line in found[1:])
    assert furthest([2.0, 1.0], [2.0, 1.1]) == pytest.approx(0.05)
    monkeypatch.setattr(checks, "run_anew", lambda name, device: (other, [2 * loss for loss in losses]))
    row = perform("fp32", "finetune", "cpu", True)
    assert row.passed is False
    assert "steps" in row.said
    assert "losses differ by 50.0%" in row.said


def test_a_worker_that_dies_is_a_row_and_the_next_check_has_another(monkeypatch):
    started = []

    class Dying(run.Worker):
        def __init__(self, device, quick):
            super().__init__(device, quick)
            started.append(self)
            if len(started) == 1:
                self.process.kill()
                self.process.join()

    monkeypatch.setattr(run, "Worker", Dying)
    asked = [("fp32", "finetune"), ("no such check", "finetune"), ("no such check", "er")]
    rows = list(run.carried_out(asked, "cpu", True, time.perf_counter() + 600))
    assert [row.passed for row in rows] == [False, False, False]
    assert "its process ended with exit code -9" in rows[0].said
    assert "KeyError" in rows[1].said
    assert len(started) == 2
    assert all(not worker.process.is_alive() for worker in started)


def test_what_the_time_does_not_reach_is_left_out():
    rows = list(run.carried_out(plan(True), "cpu", True, time.perf_counter() - 1))
    assert {row.passed for row in rows} == {None}
    assert run.passed(rows)
    assert not run.passed([*rows, Row("fp32", "er", False, "why")])
    assert "failed: fp32 er: why" in run.table([*rows, Row("fp32", "er", False, "why")])


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is there")
def test_a_device_that_is_lost_is_noticed():
    assert run._device_lives("cpu")
    assert not run._device_lives("cuda:0")


def test_the_peak_is_that_of_products():
    assert 1e8 < matmul_peak("cpu", torch.float32, 128) < 1e15


@pytest.mark.parametrize("words", [[], ["--device", "cpu", "--gpus", "0"], ["--device", "tpu"], ["--gpus", "7"]])
def test_wrong_devices_are_refused(words, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("sys.argv", ["benchmarks", "selftest", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--gpus" in capsys.readouterr().err


def test_make_gpu_check():
    assert said("gpu-check")[-1][-3:] == ["selftest", "--gpus", "0"]
    assert said("gpu-check", "GPUS=0,1")[-1][-3:] == ["selftest", "--gpus", "0,1"]
    assert said("gpu-check", "DEVICE=cpu", "QUICK=1")[-1][-4:] == ["selftest", "--device", "cpu", "--quick"]


def test_the_record_of_a_card_has_what_its_numbers_depend_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    found = environment.__wrapped__("cuda:0")
    assert found["hardware"] == "a card"
    assert found["tf32"].keys() == {"matmul", "cudnn"}
    assert {"cuda", "cudnn", "driver", "cudnn_benchmark"} <= found.keys()
    assert "cuda" not in environment("cpu")
