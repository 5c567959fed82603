"""Plug-ins: methods, streams, data, networks and scores of a user's own files, used as ours are."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.cost.rehearse import rehearse
from benchmarks.request import declarations, plugins
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


def make(image_shape, width: int = 8):
    return nn.Sequential(nn.Flatten(), nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], width))


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
  function: {method: finetune, model: {backbone: code/mine.py:make}}
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
        if name.startswith(("plugin_", "helper")):
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
    assert set(records) == {"finetune", "replay-mine", "net", "function"}
    assert {r["status"] for r in records.values()} == {"done"}
    settings = {name: record["settings"] for name, record in records.items()}
    assert settings["replay-mine"]["method"]["name"] == "MyReplay"
    assert settings["replay-mine"]["method"]["settings"]["weight"] == 0.5
    assert settings["net"]["model"]["backbone"] == "Net"
    assert settings["net"]["model"]["width"] == 8
    assert settings["function"]["model"]["backbone"] == "make"
    assert {s["scenario"]["stream"] for s in settings.values()} == {"backwards"}
    # what lies beside the file and is imported by it decides the cells too
    assert all({"mine.py", "helper.py"} <= set(record["source"]) for record in records.values())
    assert "1 of it" not in done.stdout
    table = retain("report", suite, "--no-plots", "--metrics", "acc.last", cwd=tmp_path)
    assert "replay-mine" in table.stdout, table.stderr
    again = retain("run", suite, cwd=tmp_path)
    assert "4 done, 0 to run" in again.stdout


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
    assert read.stdout == "4 []\n", read.stderr


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


def test_what_a_function_is_to_be_goes_to_another_process_too(tmp_path, monkeypatch):
    # whose arguments would tell otherwise
    (tmp_path / "two.py").write_text("def net(roots: int = 3): ...\n\ndef data(places=()): ...\n")
    include("two.py:net", tmp_path, "backbone")
    include("two.py:data", tmp_path, "data")
    brought = pickle.loads(pickle.dumps(included()))
    del BACKBONES["net"], DATASETS["data"]
    monkeypatch.setattr(plugins, "_included", {})
    plugins.include_all(brought)
    assert ("net" in BACKBONES, "data" in DATASETS) == (True, True)
    assert ("net" in DATASETS, "data" in BACKBONES) == (False, False)


@pytest.mark.parametrize("said_first", [None, "backbone"])
def test_what_is_included_is_the_same_network_where_it_is_named(suite, said_first):
    for name in ("make", "Net"):
        include(f"code/mine.py:{name}", suite.parent, said_first)
        first = BACKBONES[name]
        include(f"code/mine.py:{name}", suite.parent, None if said_first else "backbone")
        assert BACKBONES[name] is first


@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        ("", "backbone"),
        ("image_shape, width: int = 3", "backbone"),
        ("width: int = 3, **more", "backbone"),
        ("roots", "data"),
        ("folders", "data"),
        ("roots=None", "data"),
    ],
)
def test_a_function_without_a_word_is_what_its_arguments_are_of(tmp_path, arguments, table):
    (tmp_path / "one.py").write_text(f"def theirs({arguments}):\n    return None\n")
    include("one.py:theirs", tmp_path)
    assert [name for name, known in plugins._tables().items() if "theirs" in known] == [table]


def test_a_checkpoint_holds_a_network_of_one_s_own(suite, tmp_path):
    from benchmarks.cell.state import decode, encode, modules_of

    cell = next(c for c in make_grid(load_suite(str(suite))).cells if c.method_name == "net")
    network = cell.model.build((1, 8, 8))
    own = modules_of(METHODS["finetune"])
    document = encode({"network": network}, own)
    found = decode(document, own)["network"]
    assert type(found.network).__name__ == "Net"
    assert found.features == 8


HELPED = "from methods import Method, hyper\n{more}\nclass {name}(Method):\n    about = 'x'\n    k: int = hyper(1, 'k', 'ours')\n"


@pytest.mark.parametrize(
    ("more", "own"),
    [
        ("from helper import K", "helper.py"),
        ("import helper.deep", "helper/deep.py"),
        ("def late():\n    import helper\n", "helper.py"),
    ],
    ids=["file", "folder", "later"],
)
def test_two_plug_ins_with_a_module_of_one_name_are_not_run_with_one_of_them(tmp_path, more, own):
    for folder, name in (("a", "One"), ("b", "Two")):
        file = tmp_path / folder / own
        file.parent.mkdir(parents=True)
        file.write_text("K = 1\n")
        (tmp_path / folder / "meth.py").write_text(HELPED.format(more=more, name=name))
        (tmp_path / folder / "same.py").write_text(HELPED.format(more=more, name=f"{name}Again"))
    include("a/meth.py", tmp_path)
    include("a/same.py", tmp_path)  # with the same one
    with pytest.raises(SettingsError) as caught:
        include("b/meth.py", tmp_path)
    first, second = tmp_path / "a" / own.split("/")[0], tmp_path / "b" / "meth.py"
    assert caught.value.problems == [f"helper of {second} is already {first}: call one of them otherwise"]
    assert "Two" not in METHODS


def test_a_module_of_one_name_is_found_through_another(tmp_path):
    for folder, name in (("a", "One"), ("b", "Two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "meth.py").write_text(HELPED.format(more=f"import helper_{folder}", name=name))
        (tmp_path / folder / f"helper_{folder}.py").write_text("import helper\n")
        (tmp_path / folder / "helper.py").write_text("")
    include("a/meth.py", tmp_path)
    with pytest.raises(SettingsError, match=f"helper of {tmp_path}/b/meth.py is already {tmp_path}/a/helper.py"):
        include("b/meth.py", tmp_path)


FAULTY = """
from typing import Literal

from pydantic import field_validator
from torch import nn

from methods import Finetune
from scenarios import Split


class Made(Finetune):
    about = "faulty when it is made"

    def __post_init__(self):
        raise RuntimeError("boom")


class Fits(Finetune):
    about = "faulty where it is asked for its settings"

    @classmethod
    def incompatibility(cls, layout):
        raise RuntimeError("boom")


class Build(Finetune):
    about = "faulty when it starts"

    def build(self, scenario, model):
        raise RuntimeError("boom\\nand more")


class Net(nn.Module):
    def __init__(self):
        raise RuntimeError("boom")


class Checked(Split):
    stream: Literal["checked"] = "checked"

    @field_validator("tasks")
    @classmethod
    def _tasks(cls, tasks):
        raise RuntimeError("boom")


class Built(Split):
    stream: Literal["built"] = "built"

    def build(self, *where, **more):
        raise RuntimeError("boom")
"""
FAULTY_SUITE = """
title: faulty
seeds: 1
include: [faulty.py]
scenarios: {{digits: {{stream: {stream}, data: digits, setting: class, tasks: 2}}}}
methods: {{finetune: {{model: {{backbone: "{network}"}}}}, theirs: {{method: {method}}}, er: {{{other}: 3}}}}
training: {{epochs: 1, batch_size: 8}}
"""


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        ({"method": "Made"}, "method theirs"),
        ({"method": "Fits"}, "digits theirs"),
        ({"method": "Build"}, "digits theirs"),
        ({"network": "faulty.py:Net"}, "digits finetune"),
        ({"stream": "checked"}, "scenario digits"),
        ({"stream": "built"}, "scenario digits"),
    ],
)
def test_a_fault_of_a_plug_in_is_said_in_a_line_with_its_place(tmp_path, faulty, said):
    parts = {"stream": "split", "network": "mlp", "method": "finetune", "other": "buffer_size"} | faulty
    (tmp_path / "faulty.py").write_text(FAULTY)
    path = tmp_path / "faulty.yaml"
    path.write_text(FAULTY_SUITE.format(**parts))
    with pytest.raises(SettingsError) as caught:
        rehearse(make_grid(load_suite(str(path))).cells, None)
    (problem,) = caught.value.problems
    assert re.fullmatch(rf"{said}: RuntimeError: boom \(faulty\.py:\d+\)", problem)


@pytest.mark.parametrize("method", ["Made", "Fits"])
def test_beside_a_fault_all_else_that_is_wrong_is_said(tmp_path, method):
    (tmp_path / "faulty.py").write_text(FAULTY)
    path = tmp_path / "faulty.yaml"
    path.write_text(FAULTY_SUITE.format(stream="split", network="mlp", method=method, other="bufer_size"))
    with pytest.raises(SettingsError) as caught:
        load_suite(str(path))
    assert len(caught.value.problems) == 2
    assert "did you mean" in caught.value.problems[1]
    with pytest.raises(SettingsError, match="no such setting"):  # all that there are are looked through
        load_suite(str(path), changes=["methods.theirs=1"])


def test_a_method_whose_defaults_do_not_make_it_is_named(tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    include("faulty.py", tmp_path)
    with pytest.raises(SettingsError, match=r"^method Made: RuntimeError: boom \(faulty\.py:15\)$"):
        declarations.method("Made")


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
    functions = "def offered_net(roots: int = 2): ...\n\ndef offered_data(places=()): ...\n"
    (tmp_path / "replays.py").write_text(
        f"from methods import ER\n\nclass Offered(ER):\n    about = 'offered'\n\n{functions}"
    )
    info = tmp_path / "replays-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: replays\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[retain.methods]\nOffered = replays:Offered\n[retain.backbones]\noffered_net = replays:offered_net\n"
        "[retain.datasets]\noffered_data = replays:offered_data\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins.include_installed.cache_clear()
    plugins.include_installed()
    assert METHODS["Offered"].about == "offered"
    assert ("offered_net" in BACKBONES, "offered_data" in DATASETS) == (True, True)
    listed = CliRunner().invoke(app, ["list", "methods"])
    assert "Offered: offered" in listed.output
    plugins.include_installed.cache_clear()
    sys.modules.pop("replays")
