"""The command line: what users type, and what they are told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from pydantic_core import PydanticUndefined
from rich.text import Text
from typer.testing import CliRunner

from benchmarks.cell.run import run_cell
from benchmarks.cli.app import app, main
from benchmarks.cli.catalogue import CATALOGUES
from benchmarks.cli.console import err, out, warn
from benchmarks.cli.declared import _read, _tree, declared, of_class, settings
from benchmarks.records import columns, results
from benchmarks.records.matching import differences
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.repository import ROOT
from methods import METHODS, WHERE, Recipe
from scenarios import DATASETS, SCENARIOS, SETTINGS, ImageTransform
from scenarios import WHERE as STREAMS
from tests.benchmarks.helpers import cells, forked_workers, suite_file
from tests.coloured_digits import weights_file

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


def test_a_dry_run_lists_cells_where_asked_to(suite, tmp_path):
    done = invoke("run", str(suite), "--results-dir", str(tmp_path / "results"), "--dry-run", "-v")
    assert "  missing  split finetune seed 0" in done.output
    assert "  missing  split er seed 0" in done.output


@pytest.mark.parametrize("command", [["run", "--dry-run"], ["cost"]])
def test_what_cannot_be_built_is_said_before_it_is_priced(command):
    verb, *options = command
    with pytest.raises(SettingsError, match="10 classes of digits cannot be split evenly over 3 tasks") as error:
        cli.invoke(
            app, [verb, "digits", *options, "--set", "scenario.tasks=3", "--methods", "er"], catch_exceptions=False
        )
    assert len(error.value.problems) == 3  # in each of its settings; permuted and rotated digits have any number


def test_weights_that_are_not_there_stop_a_dry_run_as_they_stop_a_run(tmp_path):
    suite = suite_file(tmp_path, "{ncm: {}}", "mine: {stream: split, data: cifar100, setting: class, tasks: 5}")
    model = ("--set", "model.backbone=timm:test_efficientnet", "--set", "model.weights=pretrained")
    command = [sys.executable, "-m", "benchmarks", "run", str(suite), *model, "--dry-run"]
    done = subprocess.run(command, env=os.environ | {"HF_HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 2, done.stdout
    assert done.stderr == (
        "error: the weights of timm:test_efficientnet are not on this machine; fetch them: "
        "python -m models.pretrained timm:test_efficientnet\n"
    )


@pytest.mark.parametrize("command", [["run"], ["run", "--dry-run"], ["cost"]])
def test_grey_images_for_weights_of_colours_stop_all_before_anything_is_run(command, tmp_path):
    suite, weights = suite_file(tmp_path, "{finetune: {}, ncm: {}}"), weights_file(tmp_path)
    verb, *options = command
    model = ("--set", "model.backbone=timm:test_efficientnet", "--set", f"model.weights={weights}")
    where = () if verb == "cost" else ("--results-dir", str(tmp_path / "results"))
    with pytest.raises(SettingsError) as error:
        cli.invoke(app, [verb, str(suite), *model, *options, *where], catch_exceptions=False)
    said = "the weights of timm:test_efficientnet want images of 3 channels, and those of digits have 1"
    assert [said in problem for problem in error.value.problems] == [True, True]  # of each method
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_dry_run_says_what_would_stop_a_run(suite, tmp_path, monkeypatch, dry):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"cannot write records to .*file/runs/tiny"):
        cli.invoke(app, ["run", str(suite), "--results-dir", str(tmp_path / "file"), *dry], catch_exceptions=False)
    monkeypatch.setattr("benchmarks.cost.price.WORTH_A_LOOK", 0.0)
    monkeypatch.setattr("benchmarks.cost.price.ASK_ABOVE_HOURS", 1e-9)
    long = ["run", str(suite), "--results-dir", str(tmp_path / "results"), *dry]
    if dry:
        assert "`run` asks for --yes" in invoke(*long).output
        assert "--yes" not in invoke(*long, "--yes").output
        assert "--yes" not in invoke(*long, "--executor", "ray").output
        assert not (tmp_path / "results").exists()
    else:
        with pytest.raises(SettingsError, match="--yes"):
            cli.invoke(app, long, catch_exceptions=False)


def test_a_gpu_that_is_shared_by_none_is_one_line(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(SettingsError, match="--gpus-per-cell 0: say a part of a GPU"):
        cli.invoke(app, ["run", "digits", "--gpus-per-cell", "0", "--gpus", "0"], catch_exceptions=False)


def test_text_between_colons_is_no_picture():
    with err.capture() as said:
        warn("say h:m:s, or :smile:")
    with out.capture() as shown:
        out.print("a title :bug:", Text(":m:"))
    assert (said.get(), shown.get()) == ("say h:m:s, or :smile:\n", "a title :bug: :m:\n")


def test_the_next_step_after_init_is_a_command(tmp_path):
    folder = tmp_path / "my dir"
    assert f"next: cd '{folder}' && make bench" in invoke("init", str(folder)).output


def test_what_is_wrong_with_options_and_suite_is_said_together():
    with pytest.raises(SettingsError) as error:
        cli.invoke(app, ["run", "digits", "--gpus", "x", "--methods", "err"], catch_exceptions=False)
    for said in ("--gpus x: no CUDA device x", "unknown method 'err'"):
        assert said in str(error.value)
    with pytest.raises(SettingsError) as error:
        cli.invoke(
            app, ["report", "digits", "--metrics", "accc", "--as", "mamoth", "--seeds", "-1"], catch_exceptions=False
        )
    for said in ("did you mean 'acc'", "did you mean 'mammoth'", "--seeds '-1'"):
        assert said in str(error.value)


@pytest.mark.parametrize("gpus", ["", ",", "²"])
def test_gpus_that_are_none(gpus):
    with pytest.raises(SettingsError, match="--gpus"):
        cli.invoke(app, ["cost", "digits", "--gpus", gpus], catch_exceptions=False)


def test_status_names_the_records_with_other_settings(tmp_path):
    suite = suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}}")
    results = tmp_path / "results"
    changes = ["training.epochs=2", "methods.er.buffer_size=9"]
    store = Store(results / "runs/tiny")
    for cell in make_grid(load_suite(str(suite), changes=changes)).cells:
        store.save(run_cell(cell))
    status = invoke("status", str(suite), "--results-dir", str(results)).output
    assert "0 done, 2 missing, 0 failed, 0 diverged" in status
    assert "1 record with other settings: training.epochs 2 instead of 1\n" in status
    assert (
        "1 record with other settings: methods.er.buffer_size 9 instead of 10, training.epochs 2 instead of 1\n"
        in status
    )
    same = invoke(
        "status", str(suite), "--results-dir", str(results), *(o for c in changes for o in ("--set", c))
    ).output
    assert "2 done, 0 missing" in same
    assert "other settings" not in same


def test_a_setting_that_older_records_lack_is_no_difference():
    (cell,) = cells("er")
    ours = cell.identity_settings()
    older = {k: v for k, v in ours["training"].items() if k not in Recipe.added_later}
    assert differences(ours | {"training": older}, ours) == []
    assert differences(ours | {"training": older | {"epochs": 9}}, ours) == ["training.epochs 9 instead of 1"]
    assert differences(ours, ours | {"training": older | {"gamma": 0.5}}) == [
        "training.gamma its default instead of 0.5"
    ]


def without_torch(*arguments: str) -> tuple[int, bool, str]:
    """The exit code of a command, whether it did without torch, and what it said on stderr."""
    script = (
        "import sys, benchmarks.cli.app as app\n"
        "try: app.main()\n"
        "except SystemExit as stop: print(); print(stop.code, 'torch' not in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    code, light = done.stdout.splitlines()[-1].split()
    return int(code), light == "True", done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "run --help",
        "reproduce --help",
        "gate --help",
        "manifest --help",
        "score --help",
        "tune --help",
        "--version",
        "list",
        "list suites",
        "list methods",
        "list scenarios",
        "list metrics",
    ],
)
def test_names_and_help_take_no_torch(command):
    assert without_torch(*command.split())[:2] == (0, True)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("rnu", "No such command 'rnu'"),
        ("run digits --worker 1", "No such option: --worker"),
        ("run digist", "unknown suite 'digist'; did you mean 'digits'?"),
        ("tune digist --space space.yaml", "unknown suite 'digist'; did you mean 'digits'?"),
        ("status digits --methods errr,ewc", "unknown method 'errr' in suite digits; did you mean 'er'?"),
        ("run digits --methods er --scenarios permuted-digit/domain", "did you mean 'permuted-digits/domain'?"),
        ("report digits --seeds x", "--seeds 'x': give a number of seeds"),
        ("cost digits --methods errr --format xml", "--format xml; known: table, csv"),
        ("manifest digist", "unknown suite 'digist'; did you mean 'digits'?"),
        ("manifest digits --scenarios permuted-digit/domain", "did you mean 'permuted-digits/domain'?"),
        ("list method", "cannot list 'method'; did you mean 'methods'?"),
    ],
)
def test_wrong_names_are_refused_without_torch(command, problem):
    code, light, said = without_torch(*command.split())
    assert (code, light) == (2, True), said
    assert problem in said


def test_a_request_with_more_than_wrong_names_is_checked_whole():
    """A change of settings, a method that the suite does not have, a file of one's own: these are judged with the rest."""
    for more in (["--set", "training.epochs=x"], ["--methods", "errr,l2", "--set", "methods.l2.strength=x"]):
        with pytest.raises(SettingsError) as error:
            cli.invoke(app, ["status", "digits", "--methods", "errr", *more], catch_exceptions=False)
        assert "unknown method 'errr'" in str(error.value)
        assert "Input should be a valid" in str(error.value)


def test_version_and_what_can_be_listed():
    version = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE).group(1)
    assert invoke("--version").output.startswith(f"retain {version}, torch ")
    listed = invoke("list")
    assert listed.exit_code == 0
    assert [line.split(":")[0] for line in listed.output.splitlines()] == [f"list {name}" for name in CATALOGUES]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_stream_is_listed_as_its_class_has_it(name):
    told = settings(*f"scenarios.{STREAMS[name]}".rsplit(".", 1))
    assert told.about == SCENARIOS[name].__doc__.splitlines()[0]
    fields = SCENARIOS[name].model_fields
    assert told.fields.keys() == fields.keys()
    for key, field in fields.items():
        assert told.fields[key].get("about") == field.description
        assert told.fields[key].get("default", PydanticUndefined) == field.default


def test_the_list_of_scenarios_has_data_sets_and_settings():
    listed = invoke("list", "scenarios").output
    assert f"data: {', '.join(DATASETS)}, folder:NAME" in listed
    for name, setting in SETTINGS.items():
        assert f"setting {name}: {setting.about}\n" in listed
    for key, field in ImageTransform.model_fields.items():
        assert f"    {key} = {field.default!r}: {field.description}\n" in listed


def test_costs_are_listed_as_the_frame_has_them():
    assert list(columns.COSTS) == list(results.COSTS)


def test_a_folder_that_is_none_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["benchmarks", "guide", "--results-dir", str(tmp_path / "file")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert re.search(r"error: .*file.*: Not a directory", capsys.readouterr().err.replace("\n", ""))


@pytest.mark.parametrize("name", ["request.grid.make_grid", "cost.rehearse.rehearse"])
def test_ctrl_c_is_a_line_and_130_wherever_it_comes(monkeypatch, capsys, name):
    monkeypatch.setattr(f"benchmarks.{name}", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "cost", "digits", "--methods", "er"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "stopped by SIGINT\n"


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

    attempts = []

    def refuse(self):
        attempts.append(self)
        raise RuntimeError("no network")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", refuse)
    arguments = [
        "run",
        "mnist",
        "--scenarios",
        "split-mnist/*",
        "--methods",
        "finetune",
        "--data-root",
        str(tmp_path),
    ]
    with pytest.raises(DataNotFound, match="train-images-idx3-ubyte") as error:
        cli.invoke(app, arguments, catch_exceptions=False)
    assert len(str(error.value).splitlines()) == len(attempts) == 1  # for three scenarios of one data set
    assert not Store(tmp_path / "results/runs/mnist").scan().records


def test_a_failing_cell_is_told_and_exits_with_1(tmp_path):
    suite = suite_file(tmp_path, "{finetune: {}, ewc: {strength: 1e12, half: false}}")
    done = invoke("run", str(suite), "--results-dir", str(tmp_path / "results"), "--workers", "1")
    assert done.exit_code == 1
    assert "done     split finetune" in done.output
    *_, said, which = done.output.splitlines()
    assert said == "1 cell failed; `show FILE` prints what a record says of it:"
    (record,) = (tmp_path / "results/runs/tiny").glob("split.ewc.*.json")
    assert re.fullmatch(rf"diverged: split ewc seed 0: .*loss.* \({re.escape(str(record))}\)", which)
    status = invoke("status", str(suite), "--results-dir", str(tmp_path / "results"))
    assert which in status.output.splitlines()


def test_a_cell_that_fails_when_it_is_run_again_is_told_and_its_record_is_kept(tmp_path, monkeypatch):
    suite, results = suite_file(tmp_path, "{er: {buffer_size: 10}}"), tmp_path / "results"
    where = (str(suite), "--results-dir", str(results), "--workers", "1")
    forked_workers(monkeypatch)
    assert invoke("run", *where).exit_code == 0
    store = Store(results / "runs/tiny")
    (record,) = store.scan().records.values()
    store.save(record.model_copy(update={"source": record.source | {"methods/er.py": "0" * 16}}))

    def end_task(self, task):
        raise RuntimeError("my bug")

    monkeypatch.setattr(METHODS["er"], "end_task", end_task)
    again = invoke("run", *where, "--fresh")
    assert again.exit_code == 1
    failure = store.failure(record)
    *_, said, which = again.output.splitlines()
    assert said.startswith("1 cell failed;")
    assert which == (
        f"failed: split er seed 0: RuntimeError: my bug ({failure}, run again; the tables have the earlier run)"
    )
    assert which in invoke("status", *where[:-2]).output.splitlines()
    assert "in end_task" in invoke("show", str(failure)).output
    assert store.find(record).status == "done"
    assert invoke("run", *where, "--keep").exit_code == 0
    monkeypatch.undo()
    forked_workers(monkeypatch)
    assert invoke("run", *where, "--fresh").exit_code == 0
    assert not failure.exists()


def test_rows_with_the_same_settings_are_one_run(tmp_path):
    suite = suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}, er-b: {method: er, buffer_size: 10}}")
    where = (str(suite), "--results-dir", str(tmp_path / "results"), "--workers", "2")
    foretold = invoke("run", *where, "--dry-run").output
    assert "3 cells, 0 done, 2 to run, 1 with the same settings as one of these" in foretold
    assert "disk:  up to 131.1 kB of records" in foretold
    done = invoke("run", *where)
    assert done.exit_code == 0, done.output
    assert "[2/2] done" in done.output
    assert len(list((tmp_path / "results/runs/tiny").glob("*.json"))) == 2
    assert "3 done, 0 missing" in invoke("status", *where[:-2]).output
    assert "3 cells, 3 done, 0 to run\n" in invoke("run", *where).output


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


@pytest.mark.parametrize("name", METHODS)
def test_what_is_read_off_a_method_s_source_is_what_its_class_says(name):
    read, said = _read(f"methods.{WHERE[name].partition('.')[0]}", METHODS[name].__name__), of_class(METHODS[name])
    assert read.attributes == said.attributes
    assert list(read.hyperparameters.items()) == list(said.hyperparameters.items())


def test_a_method_whose_source_says_less_is_asked_itself(monkeypatch, tmp_path):
    """Computed defaults and texts, and methods that are no file of the package."""
    text = "class Odd(Method):\n    about = 'odd'.upper()\n    strength: float = hyper(1 / 3, 'weight')\n"
    (tmp_path / "odd_method.py").write_text(f"from methods import Method, hyper\n\n\n{text}")
    monkeypatch.syspath_prepend(tmp_path)
    from odd_method import Odd

    monkeypatch.setitem(METHODS, "odd", Odd)
    assert declared("odd").attributes["about"] == "ODD"
    assert declared("odd").hyperparameters["strength"]["default"] == 1 / 3
    for line in text.splitlines()[1:]:
        (tmp_path / "lines.py").write_text(f"class Odd:\n{line}\n")
        _tree.cache_clear()
        _read.cache_clear()
        with pytest.raises(ValueError, match=r"."):
            _read("lines", "Odd")


@pytest.mark.parametrize("what", CATALOGUES)
def test_list(what):
    done = invoke("list", what)
    assert done.exit_code == 0
    assert len(done.output.splitlines()) >= 2


@pytest.mark.parametrize("seeds", ["0", "x", "1,a", "-1", ","])
def test_bad_seeds(seeds):
    with pytest.raises(SettingsError, match=r"--seeds.*, or 0, \(with the comma\) for seed 0 alone"):
        cli.invoke(app, ["status", "digits", "--seeds", seeds], catch_exceptions=False)
    assert load_suite("digits", seeds="0,").seeds_of("split-digits/class") == [0]


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
    assert len((folder / "records.jsonl").read_text().splitlines()) == 2
    assert (folder / "tiny.md").is_file()
    # published records never count as done
    fresh = invoke("status", str(suite), "--results-dir", str(tmp_path / "elsewhere"))
    assert "0 done, 2 missing" in fresh.output
