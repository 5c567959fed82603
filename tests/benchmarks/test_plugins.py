"""Plug-ins: methods, streams, data, networks and scores of a user's own files, used as ours are."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.request import plugins
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.plugins import include, included
from benchmarks.request.source import commits_of_cell, source_of_cell
from methods import METHODS
from metrics import SCORES
from models import BACKBONES, model_settings
from scenarios import DATASETS, SCENARIOS

MINE = """
from typing import Literal

from torch import nn

from helper import WIDTH
from methods import ER, hyper
from metrics import Score
from scenarios import Split, load_dataset


class MyReplay(ER):
    about = "replay, weighted"
    weight: float = hyper(1.0, "weight of the stored examples", "chosen here")

    def loss(self, batch):
        return self.weight * super().loss(batch)


class Backwards(Split):
    '''Classes in tasks, as Split has them.'''

    stream: Literal["backwards"] = "backwards"


class Net(nn.Sequential):
    '''A layer.'''

    def __init__(self, image_shape, width: int = WIDTH):
        super().__init__(nn.Flatten(), nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], width), nn.ReLU())


def my_digits(roots):
    return load_dataset("digits")


last = Score("acc.last", "accuracy on the last task", "R[T][T]", "higher", lambda m: m.accuracy[..., -1, -1], "here")
"""
SUITE = """
title: mine
seeds: 1
include: [code/mine.py]
scenarios:
  b: {stream: code/mine.py:Backwards, data: code/mine.py:my_digits, setting: class, tasks: 2}
methods:
  finetune:
  replay-mine: {method: code/mine.py:MyReplay, weight: 0.5}
  net: {method: finetune, model: {backbone: code/mine.py:Net, width: 8}}
training: {epochs: 1}
"""
TABLES = (METHODS, SCENARIOS, DATASETS, BACKBONES, SCORES)


@pytest.fixture(autouse=True)
def _nothing_stays(monkeypatch):
    before = [list(table) for table in TABLES]
    monkeypatch.setattr(plugins, "_included", {})
    monkeypatch.setattr(plugins, "_modules", [])
    monkeypatch.setattr(plugins._beside, "folders", [])
    modules = set(sys.modules)
    yield
    for table, names in zip(TABLES, before, strict=True):
        for name in [name for name in table if name not in names]:
            del table[name]
    for name in set(sys.modules) - modules:
        if name.startswith("plugin_") or name == "helper":
            del sys.modules[name]


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(MINE)
    (tmp_path / "code" / "helper.py").write_text("WIDTH = 16\n")
    (tmp_path / "mine.yaml").write_text(SUITE)
    return tmp_path / "mine.yaml"


def retain(*arguments, cwd):
    from benchmarks.request.repository import ROOT

    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(cwd)}
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_a_suite_of_plug_ins_runs_and_is_read(suite, tmp_path):
    done = retain("run", suite, "--workers", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = {
        r["method"]: r for r in (json.loads(p.read_text()) for p in (tmp_path / "results/runs/mine").glob("*.json"))
    }
    assert set(records) == {"finetune", "replay-mine", "net"}
    assert {r["status"] for r in records.values()} == {"done"}
    settings = {name: record["settings"] for name, record in records.items()}
    assert settings["replay-mine"]["method"]["name"] == "MyReplay"
    assert settings["replay-mine"]["method"]["settings"]["weight"] == 0.5
    assert settings["net"]["model"]["backbone"] == "Net"
    assert settings["net"]["model"]["width"] == 8
    assert {s["scenario"]["stream"] for s in settings.values()} == {"backwards"}
    # what lies beside the file and is imported by it decides the cells too
    assert all({"mine.py", "helper.py"} <= set(record["source"]) for record in records.values())
    assert "1 of it" not in done.stdout
    table = retain("report", suite, "--no-plots", "--metrics", "acc.last", cwd=tmp_path)
    assert "replay-mine" in table.stdout, table.stderr
    again = retain("run", suite, cwd=tmp_path)
    assert "3 done, 0 to run" in again.stdout


def test_records_are_read_without_the_plug_ins_too(suite, tmp_path):
    assert retain("run", suite, "--workers", "1", cwd=tmp_path).returncode == 0
    script = (
        "from pathlib import Path; from benchmarks.records.published import scan_folder; "
        "found = scan_folder(Path('results/runs/mine')); print(len(found.records), found.problems)"
    )
    from benchmarks.request.repository import ROOT

    read = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert read.stdout == "3 []\n", read.stderr


def test_an_edit_beside_the_plug_in_makes_another_source(suite):
    cell = next(c for c in make_grid(load_suite(str(suite))).cells if c.method_name == "net")
    before = source_of_cell(cell)
    assert {"mine.py", "helper.py", "methods/finetune.py"} <= set(before)
    assert commits_of_cell(cell)["commit"] is None  # of no repository
    assert "retain" in commits_of_cell(cell)


def test_a_cell_brings_its_plug_ins_to_another_process(suite, tmp_path):
    cells = make_grid(load_suite(str(suite))).cells
    (tmp_path / "cells").write_bytes(pickle.dumps(cells))
    script = (
        "import pickle; cells = pickle.load(open('cells', 'rb')); from methods import METHODS; "
        "print(sorted(c.identity for c in cells), 'MyReplay' in METHODS)"
    )
    from benchmarks.request.repository import ROOT

    read = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert read.stdout.strip() == f"{sorted(c.identity for c in cells)} True", read.stderr


def test_a_checkpoint_holds_a_network_of_one_s_own(suite, tmp_path):
    from benchmarks.cell.state import decode, encode, modules_of

    cell = next(c for c in make_grid(load_suite(str(suite))).cells if c.method_name == "net")
    network = cell.model.build((1, 8, 8))
    own = modules_of(METHODS["finetune"])
    document = encode({"network": network}, own)
    found = decode(document, own)["network"]
    assert type(found.network).__name__ == "Net"
    assert found.features == 8


def test_every_command_takes_one(suite, tmp_path):
    (tmp_path / "code" / "helper.py").write_text("WIDTH = 16\n")
    plugin = tmp_path / "code" / "mine.py"
    assert "MyReplay: replay, weighted" in retain("list", "methods", "--include", plugin, cwd=tmp_path).stdout
    assert "acc.last: R[T][T]" in retain("list", "metrics", "--include", plugin, cwd=tmp_path).stdout
    assert "backwards: " in retain("list", "scenarios", "--include", plugin, cwd=tmp_path).stdout
    near = retain("run", suite, "--methods", "MyReplai", cwd=tmp_path)
    assert (near.returncode, "did you mean 'MyReplay'" in near.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from methods import ER\n\nclass er(ER):\n    about = 'x'\n", "wrong.py: there is one of this name"),
        ("x = 1\n", "defines no method, stream, network or score"),
        ("import models.mine\n", "'models' is one of Retain's own packages"),
        ("def f():\n    1 / 0\n\nf()\n", "    1 / 0\n"),
        ("import sys\n\nsys.exit('usage: wrong.py FILE')\n", "SystemExit: usage: wrong.py FILE"),
    ],
    ids=["shadows", "empty", "name of ours", "raises", "exits"],
)
def test_what_is_wrong_with_one_is_said_once(tmp_path, text, said):
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(SettingsError) as caught:
        include("wrong.py", tmp_path)
    assert len(caught.value.problems) == 1
    assert said in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert included() == []


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("mine.pi:Net", "no module mine.pi$"),
        ("min.py", "did you mean 'mine.py'"),
        ("mine.py:Nett", "did you mean 'Net'"),
    ],
)
def test_what_is_not_there_is_named_with_the_nearest(suite, what, said):
    with pytest.raises(SettingsError, match=said):
        include(what, suite.parent / "code")


@pytest.mark.parametrize(("what", "file"), [("my_replay", "my_replay.py"), ("code.my_replay:X", "code/my_replay.py")])
def test_a_file_named_as_a_module_is_pointed_to(tmp_path, monkeypatch, what, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(MINE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        include(what)
    assert caught.value.problems == [f"no module {what.split(':')[0]}; did you mean '{file}'?"]


def test_a_suite_s_plug_ins_lie_beside_the_file_that_names_them(suite, tmp_path):
    (tmp_path / "other").mkdir()
    shorter = tmp_path / "other" / "shorter.yaml"
    shorter.write_text(f"like: {suite}\ntraining: {{epochs: 2}}\n")
    methods = {cell.method.name for cell in make_grid(load_suite(str(shorter))).cells}
    assert methods == {"finetune", "MyReplay"}


@pytest.mark.parametrize("listed", ["mine.py", "[1]", "{mine.py: }"])
def test_include_is_a_list(suite, listed):
    suite.write_text(suite.read_text().replace("include: [code/mine.py]", f"include: {listed}"))
    with pytest.raises(SettingsError, match=r"include: .* should be a list of files and modules"):
        load_suite(str(suite))


def test_an_argument_without_a_default_is_refused(tmp_path):
    (tmp_path / "net.py").write_text("from torch import nn\n\ndef net(width):\n    return nn.Linear(1, width)\n")
    with pytest.raises(SettingsError, match="width needs a default"):
        include("net.py:net", tmp_path, "backbone")


def test_what_is_no_network_is_said_when_it_is_built(tmp_path):
    (tmp_path / "net.py").write_text("def net(width: int = 3):\n    return width\n")
    include("net.py:net", tmp_path, "backbone")
    with pytest.raises(ValueError, match=r"gives a int, which is no nn\.Module"):
        model_settings({"backbone": "net"}).build((1, 8, 8))


def test_an_installed_package_offers_its_own(tmp_path, monkeypatch):
    (tmp_path / "replays.py").write_text("from methods import ER\n\nclass Offered(ER):\n    about = 'offered'\n")
    info = tmp_path / "replays-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: replays\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[retain.methods]\nOffered = replays:Offered\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.include_installed.cache_clear()
    plugins.include_installed()
    assert METHODS["Offered"].about == "offered"
    listed = CliRunner().invoke(app, ["list", "methods"])
    assert "Offered: offered" in listed.output
    plugins.include_installed.cache_clear()
    sys.modules.pop("replays")
