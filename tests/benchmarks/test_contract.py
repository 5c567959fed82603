"""`check`: honest methods pass, and each way of cheating that it knows is caught and named."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from benchmarks.contract.check import CLAIMS, check_files, check_method
from benchmarks.contract.load import load_methods
from benchmarks.request.errors import SettingsError

HEAD = """
import random
import numpy as np
import torch
from methods import Method, hyper
from methods.parts.reservoir import Reservoir
from methods.core.method import Batch, TaskView

STASH = []

class Cheat(Method):
    about = "planted"
"""


def loaded(tmp_path: Path, body: str, head: str = HEAD):
    path = tmp_path / "planted.py"
    path.write_text(head + "\n".join("    " + line for line in inspect.cleandoc(body).splitlines()) + "\n")
    return path, load_methods(path)[0]


def failures(tmp_path: Path, body: str, claim: str, setting: str = "class") -> list[str]:
    """What `claim` says of a method with this body."""
    path, cls = loaded(tmp_path, body)
    wanted = {name: CLAIMS[name] for name in ("runs through", claim)}
    proofs = check_method(cls, path, (setting,), wanted)
    return [proof.detail for proof in proofs if proof.claim == claim and proof.status == "FAIL"]


CHEATS = {
    "reads test images where it is built": (
        "no test data",
        """
        def build(self, scenario, model):
            try:
                self.peek = scenario.tasks[1].test.images
            except RuntimeError:
                pass
            return super().build(scenario, model)
        """,
        r"reads scenario.tasks\[1\].test.images in build, and hides",
    ),
    "reads the labels of tasks to come where it is built": (
        "runs through",
        """
        def build(self, scenario, model):
            self.peek = [task.train.labels for task in scenario.tasks]
            return super().build(scenario, model)
        """,
        r"reads scenario.tasks\[0\].train.labels: a method sees",
    ),
    "trains on the images it is asked about": (
        "no test data",
        """
        def predict(self, x, task_id=None):
            self.asked = x
            return super().predict(x)
        def loss(self, batch):
            asked = getattr(self, "asked", batch.x)
            return super().loss(batch) + 0.1 * (self.network(asked) ** 2).mean()
        """,
        "other test data changes what it learns in task 1",
    ),
    "uses the classes that are to come": (
        "no future labels or images",
        """
        def build(self, scenario, model):
            self.hint = 1 + 0.1 * scenario.manifest["classes"][-1][0]
            return super().build(scenario, model)
        def loss(self, batch):
            return self.hint * super().loss(batch)
        """,
        "what a later task holds changes what it learns in task 0",
    ),
    "tells the task from the batch": (
        "no task id where withheld",
        """
        def predict(self, x, task_id=None):
            scores = super().predict(x)
            return scores - scores.mean(0)
        """,
        "depend on the other images",
    ),
    "lets the batch vote": (
        "no task id where withheld",
        """
        def predict(self, x, task_id=None):
            scores = super().predict(x)
            winner = scores.argmax(1).mode().values
            return scores + 10 * torch.nn.functional.one_hot(winner, scores.shape[1])
        """,
        "depend on the other images",
    ),
    "passes a part of an image's features on to its neighbour": (
        "no task id where withheld",
        """
        def predict(self, x, task_id=None):
            scores = super().predict(x)
            return torch.cat([scores[:, :1], scores[:, 1:].roll(1, 0)], dim=1)
        """,
        "depend on the other images",
    ),
    "normalises by the batch": (
        "no task id where withheld",
        """
        def predict(self, x, task_id=None):
            return super().predict(x / x.std())
        """,
        "depend on the other images",
    ),
    "answers at random": (
        "no task id where withheld",
        """
        def predict(self, x, task_id=None):
            scores = super().predict(x)
            return scores + 1e-5 * torch.rand_like(scores)
        """,
        "when asked again",
    ),
    "keeps all data of the past": (
        "past data only as declared",
        """
        def begin_task(self, task):
            self.stash = [*getattr(self, "stash", []), task.train]
        """,
        r"keeps 80 training images of earlier tasks in self.stash\[0\].images.*it has no buffer_size",
    ),
    "keeps it normalised, in its module": (
        "past data only as declared",
        """
        def after_step(self, batch):
            STASH.append(batch.x.numpy())
        """,
        r"keeps 80 training images of earlier tasks in module\['STASH'\]",
    ),
    "keeps it in a closure": (
        "past data only as declared",
        """
        def end_task(self, task):
            images, before = task.train.images.flatten(1), getattr(self, "recall", None)
            self.recall = lambda: (images, before)
        """,
        r"keeps 80 training images of earlier tasks in self.recall.__closure__",
    ),
    "stores twice its budget and says so": (
        "budget kept",
        """
        buffer_size: int = hyper(100, "examples")
        def build(self, scenario, model):
            self.buffer = Reservoir(2 * self.buffer_size, self.generator("buffer"))
            return super().build(scenario, model)
        def end_task(self, task):
            self.buffer.add(task.train)
        def footprint(self):
            return {"buffer": self.buffer.nbytes}
        """,
        "buffer of 1440 bytes after task 0; buffer_size 10 allows 720",
    ),
    "stores twice its budget and denies it": (
        "past data only as declared",
        """
        buffer_size: int = hyper(100, "examples")
        def build(self, scenario, model):
            self.buffer = Reservoir(2 * self.buffer_size, self.generator("buffer"))
            return super().build(scenario, model)
        def end_task(self, task):
            self.buffer.add(task.train)
        def footprint(self):
            return {"buffer": self.buffer.nbytes // 2}
        """,
        "training images of earlier tasks in self.buffer._store.images; buffer_size is 10",
    ),
    "has a buffer without a budget": (
        "budget kept",
        """
        def footprint(self):
            return {"buffer": 7}
        """,
        "no hyperparameter buffer_size",
    ),
    "draws from Python's generator": (
        "deterministic",
        """
        def loss(self, batch):
            return super().loss(batch) * (1 + 0.1 * random.random())
        """,
        "a second run differs after task 0",
    ),
    "draws from numpy's generator, to no effect": (
        "deterministic",
        """
        def loss(self, batch):
            np.random.rand()
            return super().loss(batch)
        """,
        "numpy's global generator",
    ),
    "breaks on a batch of one": (
        "one class, batch of one",
        """
        def loss(self, batch):
            return super().loss(batch) / (len(batch) - 1)
        """,
        "Diverged: loss is (inf|nan)",
    ),
    "breaks on a task of one class": (
        "one class, batch of one",
        """
        def begin_task(self, task):
            first, second = task.train.labels.unique()
        """,
        r"ValueError: not enough values to unpack \(expected 2, got 1\) \(planted.py:14\)",
    ),
    "wants a task id where there is none": (
        "runs through",
        """
        def predict(self, x, task_id=None):
            return super().predict(x)[:, : 2 * task_id + 2]
        """,
        r"TypeError: .*planted.py:14",
    ),
    "cannot be pickled": (
        "checkpoint round trip",
        """
        def begin_task(self, task):
            self.scale = lambda loss: loss
        """,
        "cannot be saved and loaded",
    ),
    "keeps its state beside itself": (
        "checkpoint round trip",
        """
        def begin_task(self, task):
            STASH.append((id(self), task.id))
        def loss(self, batch):
            return super().loss(batch) * (1 + sum(owner == id(self) for owner, _ in STASH))
        """,
        "goes on otherwise after a checkpoint",
    ),
    "does not count what it replays": (
        "FLOPs countable",
        """
        buffer_size: int = hyper(100, "examples")
        def build(self, scenario, model):
            self.buffer = Reservoir(self.buffer_size, self.generator("buffer"))
            return super().build(scenario, model)
        def loss(self, batch):
            loss = super().loss(batch)
            if len(self.buffer):
                loss = loss + super().loss(self.batch(self.buffer.sample(5)))
            return loss
        def after_step(self, batch):
            self.buffer.add(batch.examples)
        """,
        "different step_shapes",
    ),
    "does not say what a hyperparameter is": (
        "hyperparameters described",
        """
        rate: float = 0.5
        """,
        "hyperparameter rate has no description",
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_caught(cheat, tmp_path):
    claim, body, message = CHEATS[cheat]
    found = failures(tmp_path, body, claim)
    assert len(found) == 1, found
    assert re.search(message, found[0]), found[0]


def test_the_report_says_what_was_proved_line_by_line(tmp_path):
    path, _ = loaded(tmp_path, CHEATS["wants a task id where there is none"][1])
    text, good = check_files([path])
    assert not good
    lines = text.splitlines()
    assert lines[0] == f"Cheat ({path})"
    assert any(line.startswith("  ok    runs through (task): ") for line in lines)
    failed = [line for line in lines if line.startswith("  FAIL")]
    assert len(failed) == 1
    assert failed[0].startswith("  FAIL  runs through (domain, class): TypeError")
    assert lines[-1] == f"Cheat: 1 of {len(lines) - 2} FAIL"


def test_an_honest_method_from_a_file_passes_and_a_setting_it_cannot_do_is_not_applicable(tmp_path):
    path, cls = loaded(tmp_path, "needs_task_id = True")
    proofs = check_method(cls, path)
    assert [p.status for p in proofs if p.claim == "runs through"] == ["n/a", "n/a", "ok"]
    assert all("task id" in p.detail for p in proofs[:2])
    assert not [p for p in proofs if p.status == "FAIL"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Mine:\n    pass\n", "defines no method.*its classes: Mine"),
        ("x = 1\n", "defines no method: a method is a class derived from Method"),
        ("from methods import Method, ER\n", "defines no method"),
        ("import nowhere_at_all\n", r"does not import:\n.*mine.py\", line 1.*\n.*\nModuleNotFoundError"),
        ("def broken(:\n", r"does not import:\n.*mine.py\", line 1\n[^/]*SyntaxError"),
    ],
)
def test_a_file_without_a_method_says_so(text, message, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_methods(path)


def test_a_file_that_is_not_there_names_the_nearest(tmp_path):
    (tmp_path / "mine.py").touch()
    with pytest.raises(SettingsError, match=r"did you mean 'mine\.py'"):
        load_methods(tmp_path / "mime.py")


def test_two_files_of_one_name_are_two_modules(tmp_path):
    classes = []
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        classes.append(loaded(tmp_path / folder, "needs_task_id = False")[1])
    assert classes[0].__module__ != classes[1].__module__
