"""Tuning: never a test image, the same choice when it is resumed, trials that stand in no table."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.cell.run import failed_record
from benchmarks.cli.app import app
from benchmarks.records.published import PublishedStore
from benchmarks.records.recorded import recorded_suites
from benchmarks.records.results import results_of
from benchmarks.records.store import Scan, Store
from benchmarks.report import publish
from benchmarks.report.publish import publish_suite
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.tuned import Choice, Tuned, how_chosen, row_hash
from benchmarks.tuning import rounds
from benchmarks.tuning.rounds import Unfinished
from benchmarks.tuning.search import Search
from benchmarks.tuning.space import Dimension, read_space
from benchmarks.tuning.studies import plan
from methods import METHODS
from scenarios import DATASETS, datasets, load_dataset, validation
from tests.benchmarks.helpers import forked_workers, suite_file
from tests.benchmarks.test_report_fixtures import planted_cell

SPACE = """
rule: {rule}
sampler: {sampler}
trials: {trials}
batch: 2
methods:
  er: {{training.optimizer.lr: {{loguniform: [0.001, 0.5]}}, buffer_size: {{int: [5, 40]}}}}
  ewc: {{strength: {{categorical: [1.0, 10.0, 1e12]}}}}
"""
cli = CliRunner()
pytest.importorskip("optuna", reason="optuna is not installed: pip install -r requirements-tune.txt")


@pytest.fixture
def suite(tmp_path) -> Path:
    return suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}, ewc: {}}")


def space_file(folder: Path, rule="{first-tasks: 2}", sampler="tpe", trials=6, text=SPACE) -> Path:
    path = folder / "space.yaml"
    path.write_text(text.format(rule=rule, sampler=sampler, trials=trials))
    return path


def tune(suite: Path, space: Path, results: Path, *more: str) -> dict:
    """What was written, but for where."""
    out = results / "chosen.yaml"
    arguments = ["tune", str(suite), "--space", str(space), "--results-dir", str(results), "--out", str(out), *more]
    done = cli.invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    written = yaml.safe_load(out.read_text())
    del written["tuned"]["records"]
    return written


def poisoned(monkeypatch, images, labels) -> None:
    """The data set digits with these in place of its test images and labels, in this process and the workers it forks."""
    digits = load_dataset("digits")
    monkeypatch.setitem(DATASETS, "digits", lambda roots: replace(digits, test_images=images, test_labels=labels))
    for cache in (datasets._load, validation._load_held_out):
        cache.cache_clear()


@pytest.fixture(autouse=True)
def _clean_caches():
    yield
    for cache in (datasets._load, validation._load_held_out):
        cache.cache_clear()


class Untouchable:
    """Raises whatever is done with it."""

    def __getattribute__(self, name):
        raise AssertionError(f"a test image or label was read: {name}")

    def __len__(self):
        raise AssertionError("test images were counted")


# ---- no test image -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["{first-tasks: 2}", "end-of-stream", "{other-data: digits:permuted-digits/domain}"])
def test_no_test_image_or_label_is_read_whatever_they_are(rule, tmp_path, monkeypatch):
    """Poison that raises: in this process, which plans, prices and rehearses, and in the workers, which train."""
    forked_workers(monkeypatch)
    setting = "domain" if "other" in rule else "class"
    stream = "rotated" if "other" in rule else "split"
    scenario = f"mine: {{stream: {stream}, data: digits, setting: {setting}, tasks: 3, samples_per_task: 40}}"
    if stream == "split":
        scenario = scenario.replace("tasks: 3", "tasks: 5")
    suite = suite_file(tmp_path, "{er: {buffer_size: 10}, ewc: {}}", scenario)
    space = space_file(tmp_path, rule, trials=2 if setting == "domain" else 4)  # the other stream is a whole one
    poisoned(monkeypatch, Untouchable(), Untouchable())
    assert "about" in dry_run(suite, space, tmp_path / "poisoned")
    chosen = tune(suite, space, tmp_path / "poisoned", "--workers", "1")
    monkeypatch.undo()
    forked_workers(monkeypatch)
    _ = [cache.cache_clear() for cache in (datasets._load, validation._load_held_out)]
    assert tune(suite, space, tmp_path / "plain", "--workers", "1") == chosen


def dry_run(suite: Path, space: Path, results: Path) -> str:
    done = cli.invoke(
        app,
        ["tune", str(suite), "--space", str(space), "--results-dir", str(results), "--dry-run"],
        catch_exceptions=False,
    )
    assert not (results / "tuning").exists()
    return done.output


def test_accuracies_of_trials_are_said_to_be_of_validation_images(suite, tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    space = space_file(tmp_path, trials=1, text=SPACE.split("  ewc")[0])
    arguments = ["tune", str(suite), "--space", str(space), "--results-dir", str(tmp_path), "--workers", "1"]
    done = cli.invoke(app, arguments, catch_exceptions=False)
    lines = [line for line in done.output.splitlines() if re.search(r"\bacc\b", line, re.I)]
    assert [bool(re.search(r"(ACC|best acc) 0\.\d+ on validation images", line)) for line in lines] == [True, True]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), n=st.integers(0, 500), part=st.sampled_from([0.05, 0.1, 0.5]))
def test_what_a_cell_sees_does_not_depend_on_the_test_images(monkeypatch, seed, n, part):
    """Any number of any images and labels in place of the real ones: the same scenario, checksum included."""
    (cell,) = make_grid(
        load_suite("digits", ["er"], ["split-digits/class"], [0], [f"scenario.validation={part}"])
    ).cells
    seen = []
    for poison in (False, True):
        with monkeypatch.context() as patch:
            if poison:
                draws = torch.Generator().manual_seed(seed)
                images = torch.randint(256, (n, 1, 8, 8), dtype=torch.uint8, generator=draws)
                poisoned(patch, images, torch.randint(10, (n,), generator=draws))
            scenario = cell.scenario.build(0)
            parts = [part.examples() for task in scenario.tasks for part in (task.train, task.test)]
            seen.append((scenario.manifest, [p.images.tolist() for p in parts], [p.labels.tolist() for p in parts]))
    for cache in (datasets._load, validation._load_held_out):
        cache.cache_clear()
    assert seen[0] == seen[1]


# ---- the same choice ---------------------------------------------------------------------------------------------


def test_where_no_trial_succeeds_nothing_is_chosen(suite, tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    text = SPACE.split("  er")[0] + "  er: {{training.optimizer.lr: {{uniform: [1e20, 1e21]}}}}\n"
    with pytest.raises(SettingsError, match="no trial of er in split succeeded"):
        tune(suite, space_file(tmp_path, trials=2, text=text), tmp_path / "results", "--workers", "1")
    assert not (tmp_path / "results" / "chosen.yaml").exists()


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_choice_with_any_number_of_workers_and_again(sampler, suite, tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    space = space_file(tmp_path, sampler=sampler)
    one = tune(suite, space, tmp_path / "one", "--workers", "1")
    assert one["tuned"]["sampler"] == sampler
    assert tune(suite, space, tmp_path / "three", "--workers", "3") == one
    records = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").glob("tuning/tiny/*.json")}
    assert tune(suite, space, tmp_path / "one") == one
    assert records == {path: path.stat().st_mtime_ns for path in (tmp_path / "one").glob("tuning/tiny/*.json")}


def test_killed_midway_and_run_again_it_chooses_the_same(suite, tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    space = space_file(tmp_path)
    whole = tune(suite, space, tmp_path / "whole", "--workers", "1")
    killed = tmp_path / "killed"
    run = multiprocessing.get_context("fork").Process(target=tune, args=(suite, space, killed, "--workers", "2"))
    run.start()
    n, deadline = 0, time.monotonic() + 60
    while n < 5 and run.is_alive() and time.monotonic() < deadline:
        n = len(list(killed.glob("tuning/tiny/*.json")))
        time.sleep(0.005)
    os.kill(run.pid, 9)
    run.join()
    assert not (killed / "chosen.yaml").exists()
    left = len(list(killed.glob("tuning/tiny/*.json")))
    assert 5 <= left < len(list((tmp_path / "whole").glob("tuning/tiny/*.json")))
    assert tune(suite, space, killed, "--workers", "2") == whole


def test_what_is_asked_depends_on_the_seed_and_the_results_alone():
    space = {
        "lr": Dimension(loguniform=(0.001, 1.0)),
        "k": Dimension(int=(1, 9)),
        "c": Dimension(categorical=[[1], [2]]),
    }

    def asked(seed: int, best: float) -> list:
        search, found = Search(space, "tpe", "higher", 12, seed), []
        for _ in range(4):
            trials = search.ask(3)
            search.tell([None if t["c"] == [2] and t["k"] > 7 else -abs(t["lr"] - best) for t in trials])
            found += trials
        return found

    assert asked(0, 0.1) == asked(0, 0.1)
    assert asked(0, 0.1) != asked(1, 0.1)
    assert asked(0, 0.1)[:6] != asked(0, 0.9)[:6] or asked(0, 0.1)[6:] != asked(0, 0.9)[6:]
    assert all(0.001 <= t["lr"] <= 1 and 1 <= t["k"] <= 9 and t["c"] in ([1], [2]) for t in asked(0, 0.1))


def test_trials_that_diverge_or_raise_are_worse_than_all(suite, tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    text = SPACE.split("  er")[0] + "  ewc: {{training.optimizer.lr: {{categorical: [0.01, 1e30]}}}}\n"
    chosen = tune(suite, space_file(tmp_path, trials=4, text=text), tmp_path / "results", "--workers", "1")
    scan = Store(tmp_path / "results" / "tuning" / "tiny").scan()
    statuses = {r.settings["training"]["optimizer"]["lr"]: r.status for r in scan.records.values()}
    assert statuses.pop(0.01) == "done"
    assert statuses.pop(1e30) in ("diverged", "failed")
    (ewc,) = chosen["tuned"]["choices"]
    assert ewc["settings"] == {"training.optimizer.lr": 0.01}
    assert len(ewc["cells"]) == 2
    assert 1 <= ewc["unsuccessful"] <= 3
    again = tune(suite, tmp_path / "space.yaml", tmp_path / "results", "--workers", "1")
    assert again == chosen  # what raised is not tried again
    assert Store(tmp_path / "results" / "tuning" / "tiny").scan() == scan


def test_a_trial_whose_process_was_ended_is_no_bad_trial_but_none(suite, tmp_path):
    def all_failed(error: str) -> Callable:
        return lambda cells: {cell.identity: failed_record(cell, error, 1.0) for cell in cells}

    studies = plan(load_suite(str(suite)), read_space(space_file(tmp_path)))
    with pytest.raises(
        Unfinished, match=r"trial 0 of er in split \(training\.optimizer\.lr 0\..*\) has not come to its end"
    ):
        rounds.tune(studies, all_failed("the worker died twice: killed; killed"))
    assert studies[0].trials == []
    studies = plan(load_suite(str(suite)), read_space(space_file(tmp_path)))
    rounds.tune(studies, all_failed("Traceback (most recent call last):\nValueError: no"))
    assert [(len(study.trials), study.best()) for study in studies] == [(6, None), (6, None)]


# ---- the suite of what was chosen --------------------------------------------------------------------------------


def test_the_suite_runs_with_what_was_chosen_and_its_tables_say_so(suite, tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    results = tmp_path / "results"
    chosen = tune(suite, space_file(tmp_path), results, "--workers", "1")
    out = results / "chosen.yaml"
    by_method = {choice["method"]: choice for choice in chosen["tuned"]["choices"]}
    cells = {cell.method_name: cell for cell in make_grid(load_suite(str(out))).cells}
    assert cells["er"].training.optimizer.lr == by_method["er"]["settings"]["training.optimizer.lr"]
    assert cells["er"].method.settings["buffer_size"] == by_method["er"]["settings"]["buffer_size"]
    assert cells["ewc"].method.settings["strength"] == by_method["ewc"]["settings"]["strength"]
    assert (
        cells["finetune"].identity
        == {c.method_name: c for c in make_grid(load_suite(str(suite))).cells}["finetune"].identity
    )
    trials = Store(results / "tuning" / "tiny").scan().records.values()
    flops = {m: sum(r.flops.training for r in trials if r.method == m) for m in by_method}
    assert {m: c["flops"] for m, c in by_method.items()} == flops
    assert {m: len(c["cells"]) for m, c in by_method.items()} == {
        m: sum(r.method == m for r in trials) for m in by_method
    }
    done = cli.invoke(app, ["run", str(out), "--results-dir", str(results), "--workers", "1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    table = (results / "leaderboards" / "chosen.md").read_text()
    assert "choice of hyperparameters: tuned on the first 2 tasks with 6 trials (tpe); finetune: default" in table
    assert "of training stand apart" in table
    assert re.search(r"   tuning, [kMG]FLOP\s↓ \|", table)
    lines = (results / "leaderboards" / "chosen.csv").read_text().splitlines()
    tuning = [line.split(",") for line in lines if "flops.tuning" in line]
    assert {line[3]: int(line[9]) for line in tuning} == flops | {"finetune": 0}


def test_rows_say_how_their_hyperparameters_were_chosen(suite, tmp_path, monkeypatch):
    def chosen(path, changes=None) -> dict[str, str]:
        return results_of(make_grid(load_suite(str(path), changes=changes)), Scan()).runs[0].chosen

    assert chosen(suite) == {"finetune": "default", "er": "set in the suite", "ewc": "default"}
    papers = tmp_path / "papers.yaml"
    papers.write_text(f"like: {suite}\nchosen: {{er: {{paper: 'Chaudhry et al. 2019, table 3'}}}}\n")
    assert chosen(papers)["er"] == "from paper: Chaudhry et al. 2019, table 3"
    assert chosen(papers, ["methods.er.buffer_size=11"])["er"] == "set in the suite"
    assert chosen(papers, ["training.epochs=2"])["er"] == "set in the suite"
    assert chosen(papers, ["methods.ewc.strength=2"])["er"].startswith("from paper")
    papers.write_text(f"like: {suite}\nchosen: {{err: {{paper: x}}}}\n")
    with pytest.raises(SettingsError, match=r"chosen\.err: no such method; did you mean 'er'"):
        load_suite(str(papers))
    protocol = results_of(make_grid(load_suite("hsu2018_splitmnist", seeds=[0])), Scan()).runs[0].chosen
    assert all(text.startswith("from paper: Hsu") for text in protocol.values())
    forked_workers(monkeypatch)
    tune(suite, space_file(tmp_path), tmp_path / "results", "--workers", "1", "--methods", "er")
    out = tmp_path / "results" / "chosen.yaml"
    assert chosen(out)["er"] == "tuned on the first 2 tasks with 6 trials (tpe)"
    assert chosen(out)["ewc"] == "default"
    for change in ("methods.er.buffer_size=11", "methods.er.replay_ratio=0.5", "training.epochs=2", "model.hidden=[8]"):
        assert chosen(out, [change])["er"] == "set in the suite", change


def test_a_choice_that_is_a_mapping_is_known_again_in_the_whole_setting(suite):
    path = suite.with_name("mapping.yaml")
    path.write_text(f"like: {suite}\noverrides: [{{methods: [er], training: {{optimizer: {{name: sgd, lr: 0.1}}}}}}]\n")
    loaded = load_suite(str(path), methods=["er"])
    cell = make_grid(loaded).cells[0]
    settings = cell.identity_settings()
    assert settings["training"]["optimizer"] != {"name": "sgd", "lr": 0.1}  # which has all that optimisers have

    def found(lr: float):
        choice = Choice(
            scenarios=[cell.scenario_name],
            method="er",
            settings={"training.optimizer": {"name": "sgd", "lr": lr}},
            value=0.5,
            trial=0,
            cells=[cell.identity[:12]],
            flops=1,
            row=row_hash(settings, "end-of-stream"),
        )
        fields = {"rule": "end-of-stream", "sampler": "random", "trials": 1, "batch": 1, "seed": 0, "seeds": [0]}
        tuned = Tuned(**fields, validation=0.1, metric="acc", optuna="5", records="x", choices=[choice])
        return how_chosen(loaded.model_copy(update={"tuned": tuned}), cell.scenario_name, "er", settings)

    assert found(0.1) == "tuned at the end of the stream (an oracle: it has seen all tasks) with 1 trials (random)"
    assert found(0.2) == "set in the suite"


def test_publishing_what_was_tuned_takes_its_trials_along(suite, tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    monkeypatch.setattr(publish, "write_plots", lambda *_: [])
    tune(suite, space_file(tmp_path, trials=2), tmp_path / "results", "--workers", "1")
    grid, published = make_grid(load_suite(str(tmp_path / "results" / "chosen.yaml"))), tmp_path / "published"
    scan = Scan({cell.identity: planted_cell(cell) for cell in grid.cells})
    store = Store(tmp_path / "results" / "tuning" / "tiny")
    trials = list(store.scan().records.values())
    for record in trials:
        store.save(record.model_copy(update={"environment": record.environment | {"commit": "f" * 40 + "+dirty"}}))
    with pytest.raises(SettingsError, match="tune from a clean git checkout"):
        publish_suite(grid, scan, published)
    for record in trials:
        store.save(record.model_copy(update={"environment": record.environment | {"commit": "f" * 40}}))
    folder = publish_suite(grid, scan, published)
    assert {r.identity for r in PublishedStore(folder / "trials").scan().records.values()} == {
        r.identity for r in trials
    }
    assert len(PublishedStore(folder).scan().records) == len(grid.cells)
    shutil.rmtree(store.folder)
    assert publish_suite(grid, scan, published) == folder  # from those that are published
    shutil.rmtree(folder)
    with pytest.raises(SettingsError, match="lacks 2 of the trials of er"):
        publish_suite(grid, scan, published)


# ---- trials stand in no table ------------------------------------------------------------------------------------


def test_trials_stand_in_no_leaderboard_guide_gate_or_publication(tmp_path, monkeypatch):
    forked_workers(monkeypatch)
    results = tmp_path / "results"
    space = space_file(tmp_path, "end-of-stream", text=SPACE.split("  ewc")[0].replace("{trials}", "2"))
    narrowed = ["--scenarios", "split-digits/class"]
    tune("digits", space, results, "--workers", "1", *narrowed)  # type: ignore[arg-type]
    trials = results / "tuning" / "digits"
    assert len(list(trials.glob("*.json"))) == 2
    assert list(recorded_suites(results)) == []
    # nor where somebody puts them among the suite's own records, or among published ones
    shutil.copytree(trials, results / "runs" / "digits")
    assert list(recorded_suites(results)) == []
    status = cli.invoke(app, ["status", "digits", "--results-dir", str(results), *narrowed])
    assert "0 done" in status.output
    report = cli.invoke(app, ["report", "digits", "--results-dir", str(results), "--no-plots", *narrowed])
    assert "not run" in report.output
    records = Store(trials).scan().records.values()
    PublishedStore(results / "published" / "digits").save(list(records)[:1])
    said: list[str] = []
    assert list(recorded_suites(results, published=True, say=said.append)) == []
    assert any("it is of validation images" in line for line in said)
    guide = cli.invoke(app, ["guide", "--results-dir", str(results), "--published"])
    assert "No records yet" in guide.output
    with pytest.raises(SettingsError, match="validation images"):
        cli.invoke(
            app,
            ["promote", "--champion", str(tmp_path / "c.json"), "--challenger", str(one_of(trials, tmp_path))],
            catch_exceptions=False,
        )
    own = tmp_path / "own.yaml"
    own.write_text(
        "like: digits\nmethods: [finetune]\nseeds: 1\nscenarios:\n"
        "  mine: {stream: split, data: digits, setting: class, validation: 0.2, samples_per_task: 40}\n"
    )
    ran = cli.invoke(app, ["run", str(own), "--results-dir", str(results), "--workers", "1"], catch_exceptions=False)
    assert ran.exit_code == 0
    assert "validation images each" in (results / "leaderboards" / "own.md").read_text()
    with pytest.raises(SettingsError, match="evaluated on validation images"):
        cli.invoke(app, ["publish", str(own), "--results-dir", str(results)], catch_exceptions=False)


def one_of(trials: Path, folder: Path) -> Path:
    """A folder with a single trial's record, which a gate might take for a method's."""
    alone = folder / "alone"
    alone.mkdir()
    shutil.copy(next(trials.glob("*.json")), alone)
    return alone


# ---- wrong requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}", "rule: Field required"),
        ("rule: first-task\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}", "did you mean 'first-tasks'?"),
        ("rule: {first-tasks: 0}\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}", "rule: {first-tasks: 2}"),
        ("rule: end-of-stream\ntrails: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}", "did you mean 'trials'?"),
        ("rule: end-of-stream\ntrials: 3\nmethods: {er: {buffer_size: {itn: [1, 9]}}}", "did you mean"),
        ("rule: end-of-stream\ntrials: 3\nmethods: {er: {buffer_size: {int: [9, 1]}}}", "the lower bound comes first"),
        ("rule: end-of-stream\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 2], uniform: [0, 1]}}}", "exactly one"),
        ("rule: end-of-stream\ntrials: 3\nmethods: {er: {buffer_size: {loguniform: [0, 1]}}}", "greater than 0"),
        (
            "rule: end-of-stream\nmetric: acccc\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}",
            "metric: no score",
        ),
        ("rule: end-of-stream\nmetric: d\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}", "of a single run"),
        ("rule: end-of-stream\nsampler: tpee\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}", "sampler:"),
        ("rule: end-of-stream\ntrials: 3\nmethods: {err: {buffer_size: {int: [1, 9]}}}", "did you mean 'er'?"),
        ("rule: end-of-stream\ntrials: 3\nmethods: {er: {buffersize: {int: [1, 9]}}}", "did you mean 'buffer_size'?"),
        (
            "rule: end-of-stream\ntrials: 3\nmethods: {er: {training.lr: {uniform: [0.1, 1]}}}",
            "'training.optimizer.lr'",
        ),
        ("rule: end-of-stream\ntrials: 3\nmethods: {er: {training.optimizer.lr: {uniform: [0, 1]}}}", "greater than 0"),
        ("rule: end-of-stream\ntrials: 3\nmethods: {er: {buffer_size: {uniform: [1, 9]}}}", "buffer_size"),
        ("rule: {first-tasks: 5}\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}", "first-tasks: 1 to 4"),
        (
            "rule: {other-data: digits:split}\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}",
            "no scenario 'split'",
        ),
        (
            "rule: {other-data: digits:split-digits/task}\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}",
            "is not: choose",
        ),
        (
            "rule: {other-data: digits:split-digits/class}\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}",
            "same data and stream",
        ),
        (
            "rule: {other-data: mnits:x}\ntrials: 3\nmethods: {er: {buffer_size: {int: [1, 9]}}}",
            "did you mean 'mnist'?",
        ),
        ("rule: end-of-stream\ntrials: 3\nmethods: {er: {}}", "there is nothing to choose"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(text, said, suite, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        plan(load_suite(str(suite)), read_space(path))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (["ewc"], ["methods.ewc: the space mine.yaml has none; it has er"]),
        (["si", "er"], ["methods.si: the space mine.yaml has none; it has er"]),  # which the suite has not either
        (["err"], ["unknown method 'err' in suite tiny; did you mean 'er'?"]),
    ],
)
def test_a_method_without_a_space_is_told_from_one_that_there_is_not(methods, said, suite, tmp_path):
    space = space_file(
        tmp_path, text="rule: end-of-stream\ntrials: 3\nmethods: {{er: {{buffer_size: {{int: [1, 9]}}}}}}"
    )
    with pytest.raises(SettingsError) as error:
        plan(load_suite(str(suite)), read_space(space), methods, file="mine.yaml")
    assert error.value.problems == said


def test_a_dry_run_says_what_would_stop_the_tuning(suite, tmp_path, monkeypatch):
    space = space_file(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot write records"):
        dry_run(suite, space, tmp_path / "file")
    assert "--yes" not in dry_run(suite, space, tmp_path / "results")
    monkeypatch.setattr("benchmarks.cost.price.WORTH_A_LOOK", 0.0)
    monkeypatch.setattr("benchmarks.cost.price.ASK_ABOVE_HOURS", 1e-9)
    assert "`tune` asks for --yes" in dry_run(suite, space, tmp_path / "results")


def test_a_trial_that_fails_when_it_is_run_again_counts_as_failed(suite, tmp_path, monkeypatch):
    """Its good record, of other code, is kept and says nothing of today's."""
    forked_workers(monkeypatch)
    space = space_file(
        tmp_path,
        "end-of-stream",
        "random",
        trials=2,
        text="rule: {rule}\nsampler: {sampler}\ntrials: {trials}\nmethods: {{er: {{buffer_size: {{int: [1, 9]}}}}}}",
    )
    tune(suite, space, tmp_path, "--workers", "1")
    store = Store(tmp_path / "tuning" / "tiny")
    for record in store.scan().records.values():
        store.save(record.model_copy(update={"source": record.source | {"methods/er.py": "0" * 16}}))

    def end_task(self, task):
        raise RuntimeError("my bug")

    monkeypatch.setattr(METHODS["er"], "end_task", end_task)
    with pytest.raises(SettingsError, match=r"no trial of er in split succeeded: .* failed: RuntimeError: my bug"):
        tune(suite, space, tmp_path, "--workers", "1", "--fresh")


def test_a_file_that_tune_did_not_write_is_not_overwritten(suite, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("like: digits\n")
    with pytest.raises(SettingsError, match="no suite that `tune` wrote"):
        cli.invoke(
            app,
            [
                "tune",
                str(suite),
                "--space",
                str(space_file(tmp_path)),
                "--out",
                str(other),
                "--results-dir",
                str(tmp_path),
            ],
            catch_exceptions=False,
        )
    assert other.read_text() == "like: digits\n"


def test_without_optuna_it_says_how_to_have_it(suite, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.tuning.library.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install -r requirements-tune\.txt"):
        cli.invoke(app, ["tune", str(suite), "--space", str(space_file(tmp_path))], catch_exceptions=False)
