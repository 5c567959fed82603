"""Golden cases: inputs and what an authors' release computed from them (golden/*.json says which file and commit).

The release was run in double precision; losses here take logits in float32, hence the tolerance.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cell.run import task_view
from methods import Batch, Method, Recipe
from scenarios import Examples, load_dataset
from scenarios.stream import Stream
from tests.conftest import small_model

GOLDEN = Path(__file__).parent / "golden"
differences: list[float] = []
"""What `assert_close` found since the list was last cleared: the page of parity.md is made of it."""
CLOSE = {"rtol": 3e-6, "atol": 2e-6}


def cases(file: str, *only: str) -> list[Any]:
    """[inputs, outputs] of each case of golden/FILE.json whose name starts with one of `only` (all without), as
    pytest parameters, `case` in the inputs being its name; a case that is `as_in` another has that one's inputs too."""
    import pytest

    document = json.loads((GOLDEN / f"{file}.json").read_text())
    found = []
    for name, inputs in document["inputs"].items():
        if only and not name.startswith(only):
            continue
        if "as_in" in inputs:
            inputs = document["inputs"][inputs["as_in"]] | inputs
        found.append(pytest.param(inputs | {"case": name}, document["outputs"][name], id=name))
    assert found, f"no case of {file} starts with {only}"
    return found


class Sizes(Stream):
    """Digits in tasks of the given numbers of classes."""

    sizes: tuple[int, ...]

    def make_tasks(self, dataset, seed):
        stops = [sum(self.sizes[: k + 1]) for k in range(len(self.sizes))]
        classes = [tuple(range(stop - n, stop)) for stop, n in zip(stops, self.sizes, strict=True)]
        return classes, [None] * len(classes), {}


class Table(nn.Module):
    """A network that answers for image i (its one pixel says i) with row i of a parameter."""

    def __init__(self, values: Any):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, x: Tensor, task: Any = None) -> Tensor:
        return self.values[x.flatten().long()]


class TableNetwork(Table):
    """The same with the two parts of a network: the backbone passes images on, the head looks them up."""

    def __init__(self, values: Any):
        super().__init__(values)
        self.backbone = nn.Identity()

    def classify(self, features: Tensor, task: Any = None) -> Tensor:
        return self(features)


def at_task(method: Method, sizes: list[int], recipe: Recipe | None = None, **settings: Any) -> Method:
    """`method`, begun on the last of tasks of `sizes` classes; nothing is trained. settings: of the stream."""
    stream = Sizes(data="digits", setting="class", tasks=len(sizes), sizes=tuple(sizes), **settings)
    scenario = stream.of(load_dataset("digits"))
    method.start(scenario, small_model(type(method)), recipe or Recipe(), seed=0)
    for task in scenario.tasks:
        method.enter(task_view(scenario, task, False))
        if task.id < len(sizes) - 1:
            method.end_task(method.task)
    return method


def batch_of(method: Method, x: Tensor, labels: list[int], sizes: list[int]) -> Batch:
    """A batch of images x with `labels`, each from the task that has its class."""
    stops = torch.tensor([sum(sizes[: k + 1]) for k in range(len(sizes))])
    y = torch.tensor(labels)
    tasks = torch.searchsorted(stops, y, right=True)
    examples = Examples(torch.zeros(len(y), 1, 1, 1, dtype=torch.uint8), y, tasks)
    return Batch(x, y, tasks, method.active_in_training(tasks), examples)


def numbered(labels: list[int]) -> Tensor:
    """Images for a Table: float [N, 1, 1, 1], image i says i."""
    return torch.arange(len(labels), dtype=torch.float64).view(-1, 1, 1, 1)


def assert_close(actual: Tensor, expected: Any, **tolerance: float) -> None:
    """Holds `actual` to what the release gave, and notes the largest difference, as a share of its largest entry: at
    least what the number format rounds, since a difference of less is luck."""
    found, wanted = actual.detach().double(), torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, **(CLOSE | tolerance))
    rounding = torch.finfo(actual.dtype).eps if actual.is_floating_point() else 0.0
    share = float((found - wanted).abs().max()) / max(float(wanted.abs().max()), 1e-300) if wanted.numel() else 0.0
    differences.append(max(share, rounding))
