"""Suites: what is accepted, and what is said of the rest."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cost.rehearse import rehearse
from benchmarks.request.catalogue import like_from, like_of, suite_names
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.identity import identity_of
from benchmarks.request.load import load_suite
from methods import METHODS, Recipe
from scenarios import SCENARIOS


def problems(call) -> str:
    with pytest.raises(SettingsError) as error:
        call()
    return "\n".join(error.value.problems)


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_resolves(name):
    grid = make_grid(load_suite(name))
    assert grid.cells
    assert len({c.identity for c in grid.cells}) == len(grid.cells)


def test_digits_is_the_grid_the_readme_names():
    grid = make_grid(load_suite("digits"))
    assert set(grid.suite.methods) >= {"finetune", "joint", "ewc", "si", "lwf", "er", "a-gem", "gem", "pnn"}
    assert len(grid.suite.seeds) == 5
    settings = sorted(grid.suite.scenarios)
    assert settings == [
        "permuted-digits/domain",
        "rotated-digits/domain",
        "split-digits/class",
        "split-digits/domain",
        "split-digits/task",
    ]
    assert {m for _, m in grid.impossible} == {"pnn"}
    assert len(grid.impossible) == 4


def test_everything_wrong_is_said_at_once_with_the_nearest_name():
    text = problems(
        lambda: load_suite(
            "digits", methods=["finetun", "er"], scenarios=["split-digit/class"], changes=["trainng.epochs=1"]
        )
    )
    assert "did you mean 'finetune'" in text
    assert "did you mean 'split-digits/class'" in text
    assert "did you mean 'training.epochs'" in text


def test_unknown_keys_inside_settings():
    changes = ["training.epoch=1", "model.hiden=[3]", "methods.er.bufer_size=3", "scenario.task=2"]
    text = problems(lambda: make_grid(load_suite("digits", changes=changes)).cells)
    for wanted in (
        "training.epoch: no such setting; did you mean 'training.epochs'?",
        "model.hiden: no such setting; did you mean 'model.hidden'?",
        "method er: bufer_size: no such setting; did you mean 'buffer_size'?",
        "scenario split-digits/task, split-digits/domain, split-digits/class, permuted-digits/domain, "
        "rotated-digits/domain: task: no such setting; did you mean 'tasks'?",
    ):
        assert wanted in text


def test_ill_typed_values():
    text = problems(
        lambda: make_grid(load_suite("digits", changes=["training.epochs=many", "methods.er.buffer_size=-1"])).cells
    )
    assert "training.epochs" in text
    assert "buffer_size" in text


def test_unknown_suite():
    assert "did you mean 'digits'" in problems(lambda: load_suite("digit"))


def test_patterns_select():
    suite = load_suite("digits", scenarios=["split-*"], methods=["*gem"])
    assert list(suite.scenarios) == ["split-digits/task", "split-digits/domain", "split-digits/class"]
    assert list(suite.methods) == ["a-gem", "gem"]


def test_set_reaches_every_cell_and_changes_identities():
    plain = make_grid(load_suite("digits", methods=["er"], scenarios=["split-digits/class"], seeds=[0])).cells[0]
    changed = make_grid(
        load_suite(
            "digits",
            methods=["er"],
            scenarios=["split-digits/class"],
            seeds=[0],
            changes=["training.epochs=1", "methods.er.buffer_size=7", "scenario.tasks=2", "training.optimizer.lr=0.5"],
        )
    ).cells[0]
    assert changed.training.epochs == 1
    assert changed.training.optimizer.lr == 0.5
    assert changed.training.optimizer.momentum == 0.9
    assert changed.method.settings["buffer_size"] == 7
    assert changed.scenario.tasks == 2
    assert changed.identity != plain.identity


@pytest.mark.parametrize("text", ["1e-3", "0.001", "1.0e-3"])
def test_numbers_as_people_write_them(text):
    cell = make_grid(load_suite("digits", methods=["er"], changes=[f"training.optimizer.lr={text}"])).cells[0]
    assert cell.training.optimizer.lr == 0.001


SHARED = """
title: overrides of several methods
seeds: 1
scenarios: {digits: {stream: split, data: digits, setting: class, tasks: 5}}
methods: [er, a-gem, dytox, joint]
training: {epochs: 1, optimizer: &sgd {name: sgd, lr: 0.1}}
overrides:
- {methods: [er, a-gem], method: &buffer {buffer_size: 50}, training: {epochs: 2}}
- {methods: [dytox], method: *buffer}
- {methods: [dytox, joint], model: {backbone: task-transformer, depth: 2, patch: 2}}
- {methods: [joint], training: {optimizer: *sgd}}
"""


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ("methods.er.buffer_size=7", lambda cell: cell.method.settings["buffer_size"]),
        ("methods.dytox.model.patch=4", lambda cell: cell.model.patch),
        ("methods.joint.model.backbone=mlp", lambda cell: cell.model.backbone),
        ("methods.dytox.buffer_size=7", lambda cell: cell.method.settings["buffer_size"]),
    ],
)
def test_what_is_set_of_a_method_changes_no_other(tmp_path, change, settings):
    path = tmp_path / "shared.yaml"
    path.write_text(SHARED)
    key, value = change.split("=")
    name = key.split(".")[1]
    before = {cell.method_name: cell for cell in make_grid(load_suite(str(path))).cells}
    after = {cell.method_name: cell for cell in make_grid(load_suite(str(path), changes=[change])).cells}
    assert str(settings(after[name])) == value
    assert {n for n in before if before[n].identity != after[n].identity} == {name}


def test_what_is_set_of_a_method_makes_the_cell_of_a_suite_that_says_so(tmp_path):
    path, said = tmp_path / "shared.yaml", tmp_path / "said.yaml"
    path.write_text(SHARED)
    said.write_text(SHARED + "- {methods: [er], method: {buffer_size: 7}}\n")
    one, other = load_suite(str(path), changes=["methods.er.buffer_size=7"]), load_suite(str(said))
    assert [c.identity for c in make_grid(one).cells] == [c.identity for c in make_grid(other).cells]
    twice = load_suite(str(path), changes=["methods.er.buffer_size=9", "methods.er.buffer_size=7"])
    assert [c.identity for c in make_grid(twice).cells] == [c.identity for c in make_grid(other).cells]


def test_a_suite_like_another_says_only_what_differs(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text(
        "like: mnist\ntitle: shorter\nmethods: {er: {buffer_size: 5}}\ntraining: {epochs: 1, optimizer: {lr: 0.5}}\n"
        "overrides: [{methods: [er], training: {batch_size: 7}}]\n"
    )
    base, suite = load_suite("mnist", methods=["er"]), load_suite(str(path))
    assert (suite.name, suite.title, list(suite.methods)) == ("short", "shorter", ["er"])
    assert suite.scenarios == base.scenarios
    assert suite.seeds == base.seeds
    cell, old = make_grid(suite).cells[0], make_grid(base).cells[0]
    assert cell.method.settings["buffer_size"] == 5
    assert (cell.training.epochs, cell.training.batch_size, cell.training.optimizer.lr) == (1, 7, 0.5)
    assert cell.training.optimizer.momentum == old.training.optimizer.momentum == 0.9
    path.write_text("like: mnits\n")
    with pytest.raises(SettingsError, match="mnist"):
        load_suite(str(path))


def test_a_suite_is_like_a_file_from_its_own_folder(tmp_path, monkeypatch):
    base, child = tmp_path / "suites" / "base.yaml", tmp_path / "suites" / "child.yaml"
    base.parent.mkdir()
    base.write_text("like: digits\nseeds: [7]\n")
    child.write_text("like: base.yaml\ntitle: child\n")
    (tmp_path / "elsewhere").mkdir()
    for folder in (tmp_path, base.parent, tmp_path / "elsewhere"):
        monkeypatch.chdir(folder)
        assert load_suite(str(child)).seeds == [7]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("like: digits\nseeds: [8]\n")
    assert load_suite("suites/child.yaml").seeds == [7]  # the one beside it comes first
    child.write_text("like: suites/base.yaml\n")  # as `tune` wrote it
    assert load_suite("suites/child.yaml").seeds == [7]
    child.write_text("like: absent.yaml\n")
    with pytest.raises(SettingsError, match=r"no file suites/absent\.yaml"):
        load_suite("suites/child.yaml")


def test_how_a_file_in_another_folder_says_what_it_is_like(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("suites", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "suites" / "base.yaml").write_text("like: digits\nseeds: [7]\n")
    for said in ("suites/base.yaml", str(tmp_path / "suites" / "base.yaml")):
        written = like_from(said, Path("out"))
        assert written == "../suites/base.yaml"
        assert Path(like_of(written, Path("out/tuned.yaml"))).resolve() == tmp_path / "suites" / "base.yaml"
    assert like_from("digits", Path("out")) == "digits"


def test_a_setting_added_later_leaves_older_records_valid_until_it_is_used(monkeypatch):
    def cell(change: str | None = None):
        return make_grid(load_suite("digits", methods=["er"], seeds=[0], changes=[change] if change else [])).cells[0]

    settings = cell().identity_settings()
    for part, name, added in (("training", "drop_last", Recipe), ("scenario", "padding", SCENARIOS["split"])):
        older = settings | {part: {k: v for k, v in settings[part].items() if k != name}}
        assert identity_of(older) != identity_of(settings)
        monkeypatch.setattr(added, "added_later", frozenset({name}))
        assert identity_of(older) == identity_of(settings) == cell().identity
    new = frozenset(METHODS["er"]().hyperparameters()) - {"buffer_size"}
    monkeypatch.setattr(METHODS["er"], "added_later", new)
    assert (
        identity_of(
            older
            | {
                "method": settings["method"]
                | {"settings": {"buffer_size": settings["method"]["settings"]["buffer_size"]}}
            }
        )
        == cell().identity
    )
    changed = cell("training.drop_last=true")
    assert changed.identity != cell().identity
    assert changed.identity_settings()["training"]["drop_last"] is True


def test_identity_ignores_names_and_covers_versions(monkeypatch):
    cell = make_grid(load_suite("digits", methods=["er"], seeds=[0])).cells[0]
    renamed = replace(cell, method_name="other", scenario_name="other")
    assert renamed.identity == cell.identity == identity_of(cell.identity_settings())
    monkeypatch.setattr(METHODS["er"], "version", 99)
    assert make_grid(load_suite("digits", methods=["er"], seeds=[0])).cells[0].identity != cell.identity


def test_a_suite_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        """
title: mine
seeds: [3]
scenarios: {s: {stream: split, data: digits, setting: task, tasks: 2, class_order: [0, 1, 2, 3]}}
methods: {small: {method: er, buffer_size: 5}, large: {method: er, buffer_size: 50}}
overrides: [{methods: [large], training: {epochs: 2}}]
"""
    )
    small, large = make_grid(load_suite(str(path))).cells
    assert (small.method.settings["buffer_size"], large.method.settings["buffer_size"]) == (5, 50)
    assert (small.training.epochs, large.training.epochs) == (5, 2)


def test_a_scenario_may_have_seeds_of_its_own():
    grid = make_grid(load_suite("mnist", methods=["finetune"]))
    seeds = {name: [c.seed for c in grid.cells if c.scenario_name == name] for name in grid.suite.scenarios}
    assert seeds["split-mnist/class"] == [0, 1, 2, 3, 4]
    assert seeds["permuted-mnist/domain"] == [0, 1, 2]
    asked = make_grid(load_suite("mnist", methods=["finetune"], seeds=[7]))
    assert {c.seed for c in asked.cells} == {7}


def test_heads_that_do_not_fit_stop_before_anything_runs():
    text = problems(lambda: make_grid(load_suite("digits", changes=["model.head=multi"])))
    assert "split-digits/class" in text
    assert "use 'growing'" in text


def test_rehearsal_finds_what_only_the_data_shows():
    cells = make_grid(load_suite("digits", scenarios=["split-digits/task"], changes=["scenario.tasks=3"])).cells
    assert "evenly" in problems(lambda: rehearse(cells, None))
    cells = make_grid(load_suite("digits", methods=["gem"], changes=["methods.gem.buffer_size=3"])).cells
    assert "without a single example" in problems(lambda: rehearse(cells, None))


PROTOCOL = """
title: a protocol
kind: protocol
{more}
seeds: 1
scenarios: {{split: {{stream: split, data: digits, setting: class, tasks: 5}}}}
methods: [finetune]
"""


def test_a_protocol_says_where_it_comes_from_and_what_was_chosen(tmp_path):
    path = tmp_path / "paper.yaml"
    path.write_text(PROTOCOL.format(more="source: A. Author 2020\nchoices: [Seeds 0 to 9.]"))
    suite = load_suite(str(path))
    assert (suite.source, suite.choices) == ("A. Author 2020", ["Seeds 0 to 9."])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "names its `source`"),
        ("source: x\nchoices: ['']", "`choices` is empty"),
        ("source: x\nchoices: [Fisher: all labels]", "choices.0: Input should be a valid string"),
        ("source: x\nchoice: [Seeds 0 to 9.]", "choice: no such setting; did you mean 'choices'?"),
    ],
)
def test_a_protocol_without_its_source_or_with_an_unreadable_choice_is_refused(tmp_path, more, said):
    path = tmp_path / "paper.yaml"
    path.write_text(PROTOCOL.format(more=more))
    assert said in problems(lambda: load_suite(str(path)))


def test_a_setting_whose_default_is_new_leaves_older_records_valid():
    changes = ["scenario.samples_per_task=100"]
    scenario, seeds = ["split-digits/class"], [0]
    even = make_grid(load_suite("digits", ["er"], scenario, seeds, changes)).cells[0]
    random = make_grid(load_suite("digits", ["er"], scenario, seeds, [*changes, "scenario.sampling=random"])).cells
    older = random[0].identity_settings()
    del older["scenario"]["sampling"]  # as a record has it that was made before the setting existed
    assert identity_of(older) == random[0].identity != even.identity


def test_more_seeds_than_a_paper_has_orders():
    with pytest.raises(SettingsError, match=r"class order 'dytox-cifar100' has 3 orders, for seeds 0 to 2"):
        load_suite("cifar100-lite", seeds="4")
