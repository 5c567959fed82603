"""The command line: what users type, and what they are told."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.catalogue import CATALOGUES
from benchmarks.config import SettingsError, load_suite
from benchmarks.grid import make_grid
from benchmarks.store import Store
from tests.benchmarks.helpers import suite_file

cli = CliRunner()


def invoke(*arguments: str):
    return cli.invoke(app, list(arguments))


@pytest.fixture
def suite(tmp_path):
    return suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}, pnn: {}}")


def test_run_status_report(suite, tmp_path):
    where = ("--results-dir", str(tmp_path / "results"))
    first = invoke("run", str(suite), *where, "--workers", "1")
    assert first.exit_code == 0, first.output
    assert "2 cells, 0 done, 2 to run, 1 pairs not applicable" in first.output
    assert "leaderboard:" in first.output
    assert (tmp_path / "results/leaderboards/tiny.md").is_file()
    again = invoke("run", str(suite), *where)
    assert "2 done, 0 to run" in again.output
    status = invoke("status", str(suite), *where)
    assert "2 done, 0 missing, 0 failed, 0 diverged" in status.output
    assert "n/a" in status.output
    report = invoke("report", str(suite), *where, "--metrics", "acc,bwt.diaz")
    assert report.exit_code == 0
    narrowed = invoke("report", str(suite), *where, "--methods", "er")
    assert "tiny-selection.md" in narrowed.output  # the whole suite's table stays what it was
    with pytest.raises(SettingsError, match=r"bwt\.diaz"):
        cli.invoke(app, ["report", str(suite), *where, "--metrics", "bwt.dias"], catch_exceptions=False)


def test_dry_run_runs_nothing(suite, tmp_path):
    done = invoke("run", str(suite), "--results-dir", str(tmp_path / "results"), "--dry-run", "--seeds", "2")
    assert "cells: 4 missing" in done.output
    assert "FLOP of training" in done.output
    assert "disk:  up to 262.1 kB of records" in done.output  # 64 KiB each
    assert "seed" not in done.output
    assert not (tmp_path / "results").exists()


def test_parts_of_a_grid_share_no_cell_and_leave_none_out(tmp_path):
    whole = make_grid(load_suite("digits"))
    parts = [whole.shard(f"{k}/4").cells for k in (1, 2, 3, 4)]
    assert sorted(c.identity for part in parts for c in part) == sorted(c.identity for c in whole.cells)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    # dealt out in the suite's order, a method would stay in one part where its number and that of parts divide
    for part in parts:
        assert 3 <= sum(c.method_name == "gem" for c in part) <= 12  # of 25
    for wrong in ("0/4", "5/4", "2", "a/b", "1/0", "-1/2"):
        with pytest.raises(SettingsError, match=f"--shard {wrong}: say k/n"):
            whole.shard(wrong)


def test_two_machines_make_one_leaderboard(tmp_path):
    suite = suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}}", seeds=2)
    where = ("--results-dir", str(tmp_path / "results"), "--workers", "1")
    first = invoke("run", str(suite), *where, "--shard", "1/2")
    assert first.exit_code == 0, first.output
    assert "2 cells, 0 done, 2 to run, part 1/2 of 4 cells" in first.output
    second = invoke("run", str(suite), *where, "--shard", "2/2")
    assert second.exit_code == 0, second.output
    assert "4 done, 0 missing" in invoke("status", str(suite), *where[:2]).output
    assert "2 done, 0 to run" in invoke("run", str(suite), *where, "--shard", "1/2").output


def test_wrong_requests_say_everything_and_exit_with_2(tmp_path):
    wrong = [
        "--methods",
        "finetun,ewcc",
        "--scenarios",
        "split-digit/class",
        "--set",
        "training.epoch=1",
        "--seeds",
        "x",
    ]
    command = [sys.executable, "-m", "benchmarks", "run", "digits", *wrong, "--results-dir", str(tmp_path / "r")]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 2
    for said in ("'finetune'", "'ewc'", "'split-digits/class'", "'training.epochs'"):
        assert f"did you mean {said}" in done.stderr
    assert "--seeds 'x'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r").exists()


def test_missing_data_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import torchvision.datasets

    from scenarios import DataNotFound

    def refuse(self):
        raise RuntimeError("no network")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", refuse)
    arguments = [
        "run",
        "mnist",
        "--scenarios",
        "split-mnist/class",
        "--methods",
        "finetune",
        "--data-root",
        str(tmp_path),
    ]
    with pytest.raises(DataNotFound, match="train-images-idx3-ubyte"):
        cli.invoke(app, arguments, catch_exceptions=False)
    assert not Store(tmp_path / "results/runs/mnist").scan().records


def test_a_failing_cell_is_told_and_exits_with_1(tmp_path):
    suite = suite_file(tmp_path, "{finetune: {}, ewc: {strength: 1e12, half: false}}")
    done = invoke("run", str(suite), "--results-dir", str(tmp_path / "results"), "--workers", "1")
    assert done.exit_code == 1
    assert "diverged" in done.output
    assert "done     split finetune" in done.output
    status = invoke("status", str(suite), "--results-dir", str(tmp_path / "results"))
    assert "diverged: split ewc seed 0" in status.output


def test_broken_records_are_named_and_run_again(suite, tmp_path):
    where = ("--results-dir", str(tmp_path / "results"))
    invoke("run", str(suite), *where, "--methods", "finetune")
    (record,) = (tmp_path / "results/runs/tiny").glob("*.json")
    record.write_text(record.read_text()[:100])
    again = invoke("run", str(suite), *where, "--methods", "finetune")
    assert again.exit_code == 0
    assert "skipped" in again.output
    assert "1 to run" in again.output
    assert not Store(tmp_path / "results/runs/tiny").scan().problems


@pytest.mark.parametrize("what", CATALOGUES)
def test_list(what):
    done = invoke("list", what)
    assert done.exit_code == 0
    assert len(done.output.splitlines()) >= 2


@pytest.mark.parametrize("seeds", ["0", "x", "1,a", "-1", ","])
def test_bad_seeds(seeds):
    with pytest.raises(SettingsError, match="--seeds"):
        cli.invoke(app, ["status", "digits", "--seeds", seeds], catch_exceptions=False)


def test_publish_needs_every_cell_from_one_clean_commit(suite, tmp_path):
    where = ("--results-dir", str(tmp_path / "results"))
    with pytest.raises(SettingsError, match="missing"):
        cli.invoke(app, ["publish", str(suite), *where], catch_exceptions=False)
    invoke("run", str(suite), *where)
    store = Store(tmp_path / "results/runs/tiny")
    for commit, problem in (("abc+dirty", "clean git checkout"), (None, "clean git checkout"), ("abc", None)):
        for record in store.scan().records.values():
            store.save(record.model_copy(update={"environment": record.environment | {"commit": commit}}))
        if problem:
            with pytest.raises(SettingsError, match=problem):
                cli.invoke(app, ["publish", str(suite), *where], catch_exceptions=False)
            continue
        done = invoke("publish", str(suite), *where)
        assert done.exit_code == 0, done.output
    folder = tmp_path / "results/published/tiny"
    assert len(list((folder / "records").glob("*.json"))) == 2
    assert (folder / "tiny.md").is_file()
    # published records never count as done
    fresh = invoke("status", str(suite), "--results-dir", str(tmp_path / "elsewhere"))
    assert "0 done, 2 missing" in fresh.output
