"""Whatever a suite or a request says, it is a suite or it is answered: with all that is wrong, where, and what to do."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.request.errors import SettingsError
from benchmarks.request.load import load_suite
from benchmarks.request.suite import Suite

RIGHT = {
    "title": "right",
    "seeds": 1,
    "scenarios": {"s": {"stream": "split", "data": "digits", "setting": "class"}},
    "methods": {"er": {}},
}
SCENARIO = RIGHT["scenarios"]["s"]


def said(path, text: str, **request) -> str:
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_suite(str(path), **request)
    return "\n".join(error.value.problems)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "should be a mapping with title, seeds, scenarios, methods"),
        ("- a\n- b", "should be a mapping"),
        ("3", "should be a mapping"),
        ("a: [", "is not YAML: line 1, column 5"),
        ("title: a\nmethods: [er]\ntitle: b", "key 'title' stands in line 1 and in line 3"),
        ("methods:\n  er: {buffer_size: 1, buffer_size: 2}", "key 'buffer_size' stands in line 2 and in line 2"),
        ("1: a", "line 1: the key '1' is not text; put a name in quotes"),
        ("a: b\nno: {}", "line 2: the key 'no' is not text"),
        ("? [a]\n: b", "line 1: the key a list or a mapping is not text"),
        ("a: !!binary aGk=", "neither text, number, list nor mapping"),
        ("a: !!set {b}", "neither text, number, list nor mapping"),
        ("a: !!bool x", "neither text, number, list nor mapping"),
        ("a: .nan", "neither text, number, list nor mapping"),
        ("a: &a [*a]", "neither text, number, list nor mapping"),
        ("[" * 500, "nested too deeply"),
        ("a: !x b", "could not determine a constructor for the tag '!x'"),
        ("a: \x07", "special characters are not allowed"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        (f"a: 1{'0' * 5000}", "neither text, number, list nor mapping"),
    ],
)
def test_what_is_no_suite_file(path, text, problem):
    assert problem in said(path, text)
    assert said(path, text).startswith(str(path))


def test_bytes_that_are_no_text(path):
    path.write_bytes(b"title: \xff")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"title": None}, "title: Field required"),
        ({"title": 3}, "title: Input should be a valid string"),
        ({"about": []}, "about: Input should be a valid string"),
        ({"kind": "paper"}, "kind: Input should be 'benchmark', 'smoke' or 'protocol'"),
        ({"titel": "x"}, "titel: no such setting; did you mean 'title'?"),
        ({"selection": "x"}, "selection: no such setting"),
        ({"scenario_seeds": {"s": [1]}}, "scenario_seeds: no such setting; a scenario has its own `seeds`"),
        ({"seeds": None}, "seeds: missing; give a number of seeds (1 to 10,000), e.g. 5, or a list"),
        ({"seeds": 0}, "seeds: 0 should be a number of seeds"),
        ({"seeds": -1}, "seeds: -1 should be"),
        ({"seeds": True}, "seeds: True should be"),
        ({"seeds": 10**9}, "seeds: 1000000000 should be"),
        ({"seeds": []}, "seeds: [] should be"),
        ({"seeds": ["1"]}, "seeds: ['1'] should be"),
        ({"seeds": [0, -1]}, "seeds: [0, -1] should be"),
        ({"seeds": [0, 0, 1]}, "seeds: 0 stands there twice"),
        ({"scenarios": {"s": SCENARIO | {"seeds": [4, 4]}}}, "scenarios.s.seeds: 4 stands there twice"),
        ({"scenarios": None}, "scenarios: there should be a mapping with at least one, e.g."),
        ({"scenarios": ["x"]}, "scenarios: there should be a mapping with at least one, e.g."),
        ({"scenarios": {"s": None}}, "scenarios.s: should be a mapping, e.g."),
        ({"scenarios": {"s": {"stream": 3}}}, "scenario s: unknown stream 3"),
        ({"scenarios": {"s": {"stream": ["split"]}}}, "scenario s: unknown stream ['split']"),
        (
            {"scenarios": {"s": {"data": "digits"}}},
            "scenario s: stream: missing; known: split, split-sample, permuted, rotated, given",
        ),
        ({"scenarios": {"s": SCENARIO | {"data": "nonexist"}}}, "scenario s: data: unknown data set 'nonexist'"),
        ({"scenarios": {"s": SCENARIO | {"tasks": 10**8}}}, "scenario s: tasks: 100000000 is more than the 10,000"),
        ({"scenarios": {"s": SCENARIO | {"data": "mnits"}}}, "did you mean 'mnist'?"),
        ({"scenarios": {"s": SCENARIO | {"setting": "clas"}}}, "setting: Input should be 'task', 'domain' or 'class'"),
        ({"scenarios": {"s": SCENARIO | {"settings": ["class"]}}}, "scenarios.s.settings: there is a `setting` too"),
        (
            {"scenarios": {"s": {"stream": "split", "data": "digits", "settings": "class"}}},
            "scenarios.s.settings: 'class' should be a list, e.g. [task, domain, class]",
        ),
        (
            {"scenarios": {"s": {"stream": "split", "data": "digits", "settings": ["class", "class"]}}},
            "scenarios.s.settings: 'class' stands there twice",
        ),
        (
            {"scenarios": {"a": {"stream": "split", "data": "digits", "settings": ["class"]}, "a/class": SCENARIO}},
            "scenarios: 'a/class' is there twice",
        ),
        ({"methods": None}, "methods: there should be a list of names, e.g. [finetune, er], or a mapping"),
        ({"methods": "er"}, "methods: there should be a list of names"),
        ({"methods": []}, "methods: there should be a list of names"),
        ({"methods": ["er", "er"]}, "methods: 'er' stands there twice"),
        ({"methods": [1, {"er": {}}]}, "methods: {'er': {}} should be a name"),
        ({"methods": {"er": 3}}, "methods.er: should be a mapping of its settings, or empty"),
        ({"methods": {"er": []}}, "methods.er: should be a mapping of its settings, or empty"),
        ({"methods": {"er": {"method": 3}}}, "method er: method: 3 should be the name of a method"),
        ({"methods": {"e": {"method": "EWC"}}}, "method e: unknown method 'EWC'; did you mean 'ewc'?"),
        ({"methods": {"er": {"buffer_size": None}}}, "method er: buffer_size: Input should be a valid integer"),
        ({"model": 3}, "model: Input should be a valid dictionary"),
        ({"model": {"hidden": "x"}}, "model.hidden: "),
        ({"model": {"head": "multi"}}, "s: head 'multi'"),
        ({"training": []}, "training: Input should be a valid dictionary"),
        ({"training": {"lr": 0.1}}, "training.lr: no such setting; did you mean 'training.optimizer.lr'?"),
        ({"training": {"optimizer": {"epochs": 1}}}, "did you mean 'training.epochs'?"),
        ({"overrides": {}}, "overrides: Input should be a valid list"),
        ({"overrides": [3]}, "overrides.0: Input should be a valid dictionary"),
        (
            {"overrides": [{"scenario": ["s"]}]},
            "overrides.0.scenario: no such setting; did you mean 'overrides.scenarios'",
        ),
        ({"overrides": [{"methods": "er"}]}, "overrides.0.methods: Input should be a valid list"),
        (
            {"overrides": [{"training": {"epochs": 0}}]},
            "training.epochs: Input should be greater than or equal to 1 (with `overrides`, of s er)",
        ),
        ({"like": 3}, "like: 3 should be the name of a suite"),
        ({"like": "mine"}, "unknown suite 'mine'"),
        ({"like": "nonexist.yaml"}, "/nonexist.yaml"),
    ],
)
def test_what_is_wrong_in_a_suite(path, change, problem):
    assert problem in said(path, json.dumps(RIGHT | change))


def test_a_suite_that_says_nothing_of_an_optional_part_has_its_default(path):
    path.write_text(json.dumps(RIGHT | {"model": None, "training": None, "overrides": None, "about": None}))
    assert load_suite(str(path)).training == {}


def test_suites_like_each_other(path):
    other = path.with_name("other.yaml")
    other.write_text(f"like: {path}\n")
    assert "like: mine is like other is like mine: name a suite that stands alone" in said(path, f"like: {other}\n")
    assert "like: mine is like mine" in said(path, f"like: {path}\n")


def test_all_of_it_is_said_at_once(path):
    wrong = {
        "titel": "x",
        "kind": "protocol",
        "seeds": [1, 1],
        "scenarios": {"a": 3, "b": {"stream": "splt"}, "c": SCENARIO | {"setting": "clas"}, "d": SCENARIO},
        "methods": {"er": {"bufer_size": 5}, "ewcc": {}, "gem": 1},
        "model": {"hiden": [3], "head": "multi"},
        "training": {"epoch": 1},
        "overrides": [{"metods": []}, {"training": {"batch_size": 0}}],
    }
    text = said(path, json.dumps(wrong), methods=["er", "ewcc", "lwff"], seeds="x", changes=["traning.epochs=1"])
    for problem in (
        "title: Field required",
        "titel: no such setting",
        "seeds: 1 stands there twice",
        "scenarios.a: should be a mapping",
        "scenario b: unknown stream 'splt'; did you mean 'split'?",
        "scenario c: setting: Input should be",
        "method er: bufer_size: no such setting; did you mean 'buffer_size'?",
        "method ewcc: unknown method 'ewcc'; did you mean 'ewc'?",
        "methods.gem: should be a mapping",
        "unknown method 'lwff' in suite",
        "model.hiden: no such setting; did you mean 'model.hidden'?",
        "training.epoch: no such setting; did you mean 'training.epochs'?",
        "overrides.0.metods: no such setting; did you mean 'overrides.methods'?",
        "training.batch_size: Input should be greater than or equal to 1",
        "a suite of kind protocol names its `source`",
        "--seeds 'x'",
        "--set 'traning.epochs=1': no such setting; did you mean 'training.epochs'?",
    ):
        assert problem in text, problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("training.lr=0.1", "training.lr: no such setting; did you mean 'training.optimizer.lr'?"),
        ("lr=0.1", "--set 'lr=0.1': no such setting; did you mean 'training.optimizer.lr'?"),
        ("epochs=1", "no such setting; did you mean 'training.epochs'?"),
        ("er.buffer_size=5", "no such setting; did you mean 'methods.er.buffer_size'?"),
        ("methods.er=5", "--set 'methods.er=5': no such setting"),
        ("methods.ewcc.strength=5", "unknown method 'ewcc' in suite digits; did you mean 'ewc'?"),
        ("methods.l2.strength=5", "unknown method 'l2' in suite digits; --methods l2 adds it"),
        ("seeds=3", "that is an option of its own, --seeds"),
        ("methods=er", "that is an option of its own, --methods"),
        ("", "write dotted.key=value"),
        ("=", "write dotted.key=value"),
        ("=1", "write dotted.key=value"),
        ("training.epochs", "write dotted.key=value"),
        ("training..epochs=1", "write dotted.key=value"),
        ("training.=1", "write dotted.key=value"),
        ("qqq=1", "keys begin with training, model, scenario, methods"),
        ("training.epochs=a=b", "training.epochs: Input should be a valid integer"),
        ("training.epochs.x=1", "training.epochs is 10 and has no settings of its own"),
        ("training.epochs=[", "line 1"),
        ("training.epochs={1: 2}", "the key '1' is not text"),
        ("training.epochs=2020-01-01", "training.epochs: Input should be a valid integer"),
        ("scenario.tasks=null", "tasks: Input should be a valid integer"),
        ("scenario.data=nonexist", "rotated-digits/domain: data: unknown data set 'nonexist'"),
        ("scenario.settings=[class]", "settings: no such setting; did you mean 'setting'?"),
    ],
)
def test_what_is_wrong_with_a_change(change, problem):
    with pytest.raises(SettingsError) as error:
        load_suite("digits", changes=[change])
    assert problem in str(error.value)


def test_a_key_that_is_suggested_works():
    cells = load_suite("digits", changes=["training.optimizer.lr=0.1", "methods.er.buffer_size=5"])
    assert (cells.training["optimizer"]["lr"], cells.methods["er"]["buffer_size"]) == (0.1, 5)


def test_a_change_leaves_the_rest_of_an_override_alone(path):
    overrides = [{"training": {"optimizer": {"name": "adam", "momentum": 0, "lr": 0.3}}}]
    path.write_text(json.dumps(RIGHT | {"overrides": overrides}))
    suite = load_suite(str(path), changes=["training.optimizer.lr=0.1"])
    assert suite.overrides[0].training == {"optimizer": {"name": "adam", "momentum": 0}}


@pytest.mark.parametrize("option", ["methods", "scenarios"])
def test_an_option_that_names_nothing(option):
    with pytest.raises(SettingsError, match=f"--{option} names none: leave it out"):
        load_suite("digits", **{option: []})


def test_any_method_there_is_can_be_asked_for():
    suite = load_suite("digits", methods=["l2", "er"], changes=["methods.l2.strength=3"])
    assert set(suite.methods) == {"l2", "er"}
    assert suite.methods["l2"] == {"strength": 3}
    assert suite.methods["er"] == load_suite("digits").methods["er"]
    with pytest.raises(SettingsError, match=r"unknown method 'l2\*' in suite digits"):  # a pattern: the suite's own
        load_suite("digits", methods=["l2*"])


WORDS = st.sampled_from(
    ["s", "er", "x/y", "split", "class", "digits", "", "*", "title", "seeds", "scenarios", "methods", "stream", "data"]
    + ["setting", "settings", "tasks", "model", "training", "overrides", "epochs", "hidden", "like", "kind", "method"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from([0.5, 10**25]) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    change=st.dictionaries(st.sampled_from(list(Suite.model_fields) + ["like", "x"]), VALUES, max_size=4),
    scenario=st.dictionaries(WORDS, VALUES, max_size=2),
    method=st.dictionaries(WORDS, VALUES, max_size=2),
    key=st.lists(WORDS, max_size=3).map(".".join),
    value=VALUES,
)
def test_any_document_is_a_suite_or_is_answered(path, change, scenario, method, key, value):
    document = RIGHT | {"scenarios": {"s": SCENARIO | scenario}, "methods": {"er": method}} | change
    path.write_text(yaml.safe_dump(document))
    for changes in ([], [f"{key}={json.dumps(value)}"]):
        try:
            suite = load_suite(str(path), changes=changes)
        except SettingsError as error:
            problems = error.problems
        else:
            problems = []
            assert suite.scenarios
            assert suite.methods
        assert all(problem.strip() for problem in problems)
