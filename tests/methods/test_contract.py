"""What every method promises, over every setting: the claims of `check`, and what takes methods of one tree to show."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from benchmarks.cell.evaluate import evaluate
from benchmarks.cell.run import task_view, train_task
from benchmarks.contract.check import CLAIMS, ONCE, NotApplicable, Trial
from methods import METHODS, Method, OptimizerSettings
from scenarios import Scenario
from scenarios.setting import SETTINGS as ALL_SETTINGS
from tests.conftest import SETTINGS, SHORT, small_model, small_split

PAIRS = [(name, setting) for name in METHODS for setting in SETTINGS]
# small buffers; a penalty that the short recipe can take; what a method trains for itself learns in ten steps
BUDGET = {
    "buffer_size": 10,
    "random_features": 50,
    "pool": 6,
    "strength": 0.01,
    "generator_lr": 0.02,
    "compression_epochs": 10,
}
SMALL = {"finetune_epochs": 2, "criterion": "ce"}  # transformers
TRANSFORMERS = {"dytox", "dne"}
NEW_ALONE = {"l2p", "dualprompt", "coda-prompt", "inflora", "sd-lora"}
"""Methods whose loss has the new classes alone by default, which in so few steps leaves old ones unheard."""
ADAMW = SHORT.model_copy(update={"epochs": 10, "optimizer": OptimizerSettings(name="adamw", lr=3e-3)})
"""What a transformer learns from; plain gradient descent takes it nowhere in so few steps."""
OWN_DATA = {"gdumb", "generative-classifier", "ncm", "knn", "slda", "fecam", "ranpac"}
"""Methods that train on their memory alone, on one class after the other, or not at all: other batches than finetune's."""


def make(name: str, **settings) -> Method:
    known = METHODS[name]().hyperparameters()
    small = SMALL if name in TRANSFORMERS else {"compete": "setting"} if name in NEW_ALONE else {}
    return METHODS[name](**{k: v for k, v in (BUDGET | small | settings).items() if k in known})


def brief(name: str, **settings) -> Method:
    """`make`, with the stages of its own an epoch long."""
    stages = {"correction_epochs": 1, "compression_epochs": 1, "finetune_epochs": 1}
    return make(name, **stages | ({"epochs": 1} if name == "gdumb" else {}) | settings)


def two_tasks(name: str) -> Scenario:
    """Four digits in two tasks, in the last setting that the method takes."""
    setting = next(s for s in reversed(SETTINGS) if possible(name, s))
    return small_split(setting, tasks=2, class_order=(0, 1, 2, 3))


def possible(name: str, setting: str) -> bool:
    return METHODS[name].incompatibility(small_split(setting).layout) is None


def run(name: str, scenario, recipe=SHORT, seed: int = 0):
    method = make(name).start(scenario, small_model(name), recipe, seed)
    rows = [evaluate(method, scenario)]
    for task in scenario.tasks:
        train_task(method, scenario, task)
        rows.append(evaluate(method, scenario))
    return method, rows


@lru_cache(maxsize=1)
def trial(name: str, setting: str) -> Trial:
    """Of a method in a setting; its undisturbed run is shared by all claims."""
    return Trial(METHODS[name], setting)


@pytest.mark.parametrize(
    ("name", "setting", "claim"),
    [
        (name, setting, claim)
        for name, setting in PAIRS
        if possible(name, setting)
        for claim in CLAIMS
        if claim not in ONCE or setting == next(s for s in SETTINGS if possible(name, s))
    ],
)
def test_keeps_the_claims_of_check(name, setting, claim):
    with suppress(NotApplicable):  # a claim that means nothing for this method
        CLAIMS[claim](trial(name, setting))


@pytest.mark.parametrize(("name", "setting"), PAIRS)
def test_learns_all_tasks_or_says_why_it_cannot(name, setting):
    scenario = small_split(setting)
    if not possible(name, setting):
        with pytest.raises(ValueError, match=re.escape(str(METHODS[name].incompatibility(scenario.layout)))):
            make(name).start(scenario, small_model(name), SHORT)
        return
    method, rows = run(name, scenario, ADAMW if name in TRANSFORMERS else SHORT)
    for row in rows:
        for cell, task in zip(row, scenario.tasks, strict=True):
            assert cell is None or 0 <= cell[0] <= cell[1] == len(task.test)
    assert all(v > 0 for v in method.footprint().values())
    # learned something: each task is far better known after it was learned than a coin would know it
    learned = [row[j][0] / row[j][1] for j, row in enumerate(rows[1:])]
    assert sum(learned) / len(learned) > 0.65


@pytest.mark.parametrize("name", METHODS)
def test_task_id_is_told_only_where_the_setting_grants_it(name, monkeypatch):
    told = []
    original = METHODS[name].predict

    def spy(self, x, *args):
        told.append(args)
        return original(self, x, *args)

    monkeypatch.setattr(METHODS[name], "predict", spy)
    for setting in SETTINGS:
        if possible(name, setting):
            told.clear()
            run(name, small_split(setting, tasks=2, class_order=(0, 1, 2, 3)))
            assert told
            assert all(bool(args) == ALL_SETTINGS[setting].task_id_at_test for args in told)


@pytest.mark.parametrize("name", METHODS)
def test_sees_past_data_only_where_declared_and_never_test_data(name):
    scenario = small_split("task", tasks=2, class_order=(0, 1, 2, 3))
    view = task_view(scenario, scenario.tasks[1], METHODS[name].sees_past_data)
    assert bool(view.past) == METHODS[name].sees_past_data
    assert not hasattr(view, "test")
    assert len(view.train) == 40


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_initial_weights_and_batches_as_finetune(name):
    """Two methods with one seed start from the same weights, where the architecture is the same, and see the same data."""
    setting = "class" if METHODS[name].needs_new_classes else "task"
    scenario = small_split(setting, tasks=2, class_order=(0, 1, 2, 3))
    seen: dict[str, list] = {}
    weights: dict[str, list] = {}
    for which in (name, "finetune"):
        method = make(which).start(scenario, small_model(which), SHORT, seed=3)
        weights[which] = [p.clone() for p in method.network.parameters()]
        order = seen.setdefault(which, [])
        original = method.observe
        method.observe = lambda batch, *rest, o=original, s=order: (s.append(batch.y.clone()), o(batch, *rest))[1]
        train_task(method, scenario, scenario.tasks[0])
    if weights[name] and [p.shape for p in weights[name]] == [p.shape for p in weights["finetune"]]:
        assert all(torch.equal(a, b) for a, b in zip(weights[name], weights["finetune"], strict=True))
    if name not in OWN_DATA:
        first = seen[name][: len(seen["finetune"])]  # a method may train on in phases of its own
        assert all(torch.equal(a, b) for a, b in zip(first, seen["finetune"], strict=True))


def test_no_method_names_a_setting():
    """Sources of methods/ neither read `.setting.name` nor compare with a setting's name."""
    for path in Path("methods").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                constants = [n.value for n in (node.left, *node.comparators) if isinstance(n, ast.Constant)]
                names = [c for c in constants if c in ALL_SETTINGS]
                # SI's path_gradient may be "task": an option of its own, not a setting
                assert not names or ast.unparse(node.left) == "self.path_gradient", f"{path}: {ast.unparse(node)}"
            if isinstance(node, ast.Attribute) and node.attr == "setting":
                assert path.name == "base.py", f"{path} looks at the setting"
