"""Finished cells are read without torch, by notes that hold for one source only."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from benchmarks.request import declarations, notes
from benchmarks.request.load import load_suite
from benchmarks.request.repository import ROOT
from benchmarks.request.resolve import resolve
from benchmarks.request.source_tree import Tree
from benchmarks.request.suite import Resolved
from benchmarks.speed.records import generate, write_suite
from methods import METHODS
from models import BACKBONES

VERB = """
import sys
from benchmarks.__main__ import main
try:
    main()
finally:
    print("torch" if "torch" in sys.modules else "no torch", file=sys.stderr)
"""


def test_finished_cells_are_read_without_torch(tmp_path):
    suite = write_suite(tmp_path, 332)  # two seeds
    generate(suite, tmp_path / "results")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}

    def said(*arguments):
        command = [sys.executable, "-c", VERB, *map(str, arguments), "--results-dir", str(tmp_path / "results")]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode in (0, 1, 3), done.stderr
        return done.stdout, done.stderr.splitlines()[-1]

    first, with_torch = said("status", suite)
    assert with_torch == "torch"
    champion = ("--champion", tmp_path / "champion.json")
    assert said("status", suite) == (first, "no torch")
    for arguments in (
        ("status", suite, "--methods", "er,ewc"),
        ("run", suite),
        ("report", suite, "--no-plots"),
        ("promote", *champion, "--challenger", "er", "--suite", suite),
        ("gate", *champion, "--challenger", "er-1", "--suite", suite),
    ):
        assert said(*arguments)[1] == "no torch", arguments


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Notes are kept, in a folder of the test's own."""
    monkeypatch.setattr(notes, "_keeping", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    notes._folder.cache_clear()
    yield tmp_path / "retain"
    notes._folder.cache_clear()


def test_a_note_is_read_again_and_made_anew_where_it_is_broken(kept):
    assert notes.noted("kind", "key", lambda: 1) == 1
    assert notes.noted("kind", "key", lambda: 2) == 1
    assert notes.noted("kind", "other key", lambda: 2) == 2
    for file in kept.glob("*/kind-*.json"):
        file.write_text("{")
    assert notes.noted("kind", "key", lambda: 3) == 3


def test_a_note_holds_for_one_source(kept, monkeypatch):
    assert notes._digest(Tree({"methods/er.py": "a = 1"})) != notes._digest(Tree({"methods/er.py": "a = 2"}))
    notes.noted("kind", "key", lambda: 1)
    monkeypatch.setattr("benchmarks.request.source_tree.HERE", Tree({"methods/er.py": "edited"}))
    notes._folder.cache_clear()
    assert notes.noted("kind", "key", lambda: 2) == 2
    # what this process imports may be of both sources: it is not noted
    assert notes.noted("kind", "key", lambda: 3) == 3


def test_without_the_command_line_nothing_is_noted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert [notes.noted("kind", "key", lambda n=n: n) for n in (1, 2)] == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_notes_of_declarations_say_what_the_classes_say():
    made = json.loads(json.dumps(declarations._made()))
    assert made["methods"].keys() == set(METHODS)
    assert set(BACKBONES) <= made["networks"].keys()
    for name in METHODS:
        assert made["methods"][name] == json.loads(json.dumps(asdict(declarations.method(name))))
    for name in BACKBONES:
        assert declarations.DeclaredNetwork(**made["networks"][name]) == declarations.network_of(name)
    assert declarations.Declared(**made["recipe"][""]) == declarations.recipe()


@pytest.mark.parametrize("suite", ["digits", "cifar100-lite", "imagenet100"])
def test_settings_read_off_a_note_are_the_typed_ones(suite):
    resolved, _ = resolve(load_suite(suite))
    for own in resolved.values():
        again = Resolved(json.loads(json.dumps(own.document)))
        assert again.relevant == own.relevant
        parts = ("scenario", "method", "model", "training")
        assert [getattr(again, part) for part in parts] == [getattr(own, part) for part in parts]
