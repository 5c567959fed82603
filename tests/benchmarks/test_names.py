"""Names become files and folders: which are taken, and that no two suites share one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.records.store import Store
from benchmarks.request.catalogue import SUITES
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.names import LONGEST, check_name, check_scenario_name
from tests.benchmarks.helpers import suite_file
from tests.benchmarks.test_report_fixtures import planted_cell

BAD = ["", " ", ".", "..", "../evil", "exp/er", "x/../../../../evil", "/tmp/evil", "a b", "er|big", "β", "-er", ".er",
       "er\n", "er\x00", "C:er", "er\\small", "x" * 65, "x" * 240]  # fmt: skip
GOOD = ["er", "a-gem", "dytox++", "er_200", "1.5x", "A" * LONGEST]


def with_name(folder: Path, **changes) -> str:
    path = suite_file(folder, "{er: {buffer_size: 10}}")
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(document | changes))
    return str(path)


@pytest.mark.parametrize("name", BAD)
def test_names_that_are_no_file_names_are_refused_at_load(tmp_path, name):
    split = {"stream": "split", "data": "digits", "setting": "class"}
    wrong = {"suite": {"name": name}, "method": {"methods": {name: {"method": "er", "buffer_size": 5}}}}
    if name != "exp/er":  # the name of a scenario has parts
        wrong["scenario"] = {"scenarios": {name: split}}
    for kind, changes in wrong.items():
        with pytest.raises(SettingsError) as error:
            load_suite(with_name(tmp_path, **changes))
        assert f"no name of a {kind}" in str(error.value)


@pytest.mark.parametrize("name", GOOD)
def test_names_that_are_taken(name):
    assert check_name(name, "method") == name
    assert check_scenario_name(name) == name


def test_parts_of_a_scenario_s_name():
    assert check_scenario_name("split-mnist/class") == "split-mnist/class"
    for name in ("a//b", "a/", "/a", "a/../b", "/".join("a" * 40)):
        with pytest.raises(ValueError, match=r"of a scenario|of at most"):
            check_scenario_name(name)


def test_every_wrong_name_is_said_at_once(tmp_path):
    with pytest.raises(SettingsError) as error:
        load_suite(with_name(tmp_path, name="a b", methods={"exp/er": {"method": "er"}, "a|b": {"method": "er"}}))
    for name in ("'a b'", "'exp/er'", "'a|b'"):
        assert name in str(error.value)


def test_a_name_stands_for_what_it_says(tmp_path):
    with pytest.raises(SettingsError, match="'gem' is a method of its own, not 'er'"):
        load_suite(with_name(tmp_path, methods={"gem": {"method": "er", "buffer_size": 5}}))
    split = {"stream": "split", "data": "digits", "setting": "class"}
    with pytest.raises(SettingsError, match="'x/task' has the setting 'class'"):
        load_suite(with_name(tmp_path, scenarios={"x/task": split}))
    with pytest.raises(SettingsError, match=r"'x\.class' and 'x/class' would share files"):
        load_suite(with_name(tmp_path, scenarios={"x/class": split, "x.class": split}))


# ---- two suites of one name ----------------------------------------------------------------------------------


def report(suite: object, results: Path):
    return CliRunner().invoke(app, ["report", str(suite), "--no-plots", "--results-dir", str(results)])


def run(suite: object, results: Path):
    """`run` where every record is there already."""
    for cell in make_grid(load_suite(str(suite), seeds=[0])).cells:
        Store(results / "runs" / "tiny").save(planted_cell(cell))
    return CliRunner().invoke(app, ["run", str(suite), "--workers", "1", "--results-dir", str(results)])


def test_two_files_of_one_name_do_not_share_runs_and_tables(tmp_path):
    results, files = tmp_path / "results", []
    for folder, size in (("a", 10), ("b", 20)):
        (tmp_path / folder).mkdir()
        files.append(suite_file(tmp_path / folder, f"{{er: {{buffer_size: {size}}}}}"))
    first, second = files
    assert run(first, results).exit_code == 0
    table = (results / "leaderboards/tiny.md").read_bytes()
    for refused in (run(second, results), report(second, results)):
        assert isinstance(refused.exception, SettingsError)
        assert "same name, 'tiny'" in str(refused.exception)
        assert "give one of them another `name:`" in str(refused.exception)
    assert (results / "leaderboards/tiny.md").read_bytes() == table
    # a file that was changed, a copy of it and one that took its place are the same suite
    first.write_text(first.read_text().replace("title: tiny", "title: small"))
    assert report(first, results).exit_code == 0
    copied = tmp_path / "copy.yaml"
    copied.write_text(f"name: tiny\n{first.read_text()}")
    second.write_bytes(first.read_bytes())
    assert report(second, results).exit_code == 0
    first.unlink()
    assert report(copied, results).exit_code == 0


def test_a_file_is_not_called_as_a_suite_that_comes_with_retain(tmp_path):
    path = with_name(tmp_path, name="digits")
    refused = report(path, tmp_path / "results")
    assert isinstance(refused.exception, SettingsError)
    assert "comes with Retain" in str(refused.exception)
    assert not (tmp_path / "results").exists()
    copied = tmp_path / "digits.yaml"
    copied.write_bytes((SUITES / "digits.yaml").read_bytes())
    assert report(copied, tmp_path / "results").exit_code == 0
