"""Which champions a change of the code concerns."""

import io
from pathlib import Path

import pytest

from benchmarks.gate.champion import promote
from benchmarks.gate.changes import champions_of, changed_methods, main
from methods import METHODS
from tests.benchmarks.test_gate import runs


def test_a_method_s_own_file_concerns_that_method_alone():
    assert changed_methods(["methods/er.py", "README.md", "tests/methods/test_er.py"]) == ["er"]
    assert changed_methods(["methods/agem.py", "methods/gem.py"]) == ["a-gem", "gem"]
    assert changed_methods(["benchmarks/run.py", "methods/notes.md", "methods/__init__.py"]) == []


@pytest.mark.parametrize("shared", ["methods/base.py", "methods/buffer.py"])
def test_a_shared_part_concerns_every_method(shared):
    assert changed_methods([shared]) == list(METHODS)


def test_every_method_has_a_file_of_its_own():
    for name, cls in METHODS.items():
        path = cls.__module__.replace(".", "/") + ".py"
        assert Path(path).is_file()
        assert name in changed_methods([path])


def test_names_champions_with_all_that_a_run_needs(tmp_path, monkeypatch, capsys):
    promote(runs(), tmp_path / "er.json")
    promote(runs(0.01), tmp_path / "er.json")
    promote(runs(method="gem"), tmp_path / "gem.json")
    assert [path.name for path, *_ in champions_of(["er"], tmp_path)] == ["er.json"]
    monkeypatch.setattr("sys.stdin", io.StringIO("methods/er.py\n"))
    main(tmp_path)
    assert capsys.readouterr().out == f"{tmp_path}/er.json\ter\tdigits\tsplit-digits/domain\t0,1,2,3,4\n"
