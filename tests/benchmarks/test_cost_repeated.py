"""Frozen parts of networks are run once for each of their shapes when costs are counted, and cost as much each time."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from benchmarks.cost import count, repeated
from benchmarks.cost.repeated import frozen_parts_at_once
from benchmarks.cost.valueless import META, valueless
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from metrics.flops import count_flops
from tests.benchmarks.helpers import suite_file

EXPERTS = "{backbone: expert-transformer, dim: 24, heads: 3, depth: 1}"


class Part(nn.Module):
    """Two layers; `runs` counts what was run of all of them."""

    runs = 0

    def __init__(self, twice: bool = False):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
        self.twice = twice

    def forward(self, x):
        Part.runs += 1
        out = self.layers(x)
        return out, [out @ out.T if self.twice else None]


@pytest.fixture
def counted(monkeypatch):
    Part.runs = 0
    monkeypatch.setattr(repeated, "_known", {})
    with valueless() as counted, frozen_parts_at_once(counted), torch.device(META):
        yield counted


def images(n=3, **settings):
    return torch.empty(n, 4, device=META, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        f"dne: {{model: {EXPERTS}}}",
        "dytox: {model: {backbone: task-transformer, dim: 24, heads: 3, depth: 1}, buffer_size: 20}",
        "der_expand: {buffer_size: 20}",
        "foster: {buffer_size: 20}",
        "lwf: {}",
        "icarl: {buffer_size: 20}",
        "podnet: {buffer_size: 20}",
    ],
)
def test_whole_costs_are_those_of_every_call(settings, tmp_path, monkeypatch):
    stream = "split: {stream: split, data: digits, setting: class, tasks: 5, samples_per_task: 30}"
    (cell,) = make_grid(load_suite(str(suite_file(tmp_path, f"{{{settings}}}", stream)))).cells
    quick = count.cost_of(cell)
    monkeypatch.setattr(count, "frozen_parts_at_once", lambda counted: nullcontext())
    assert quick.error is None
    assert quick == count.cost_of(cell)


def test_a_frozen_part_is_run_once_and_counted_each_time(counted):
    part = Part(twice=True).requires_grad_(False)
    first = counted.of(lambda: part(images()))
    assert first == counted.of(lambda: part(images())) == 2 * 3 * 4 * 6 + 2 * 3 * 6 * 3
    assert Part.runs == 1
    out, (product,) = part(images())
    assert (out.shape, product.shape) == ((3, 6), (3, 3))


def test_one_like_it_is_not_run_again(counted):
    for _ in range(2):
        Part().requires_grad_(False)(images())
    assert Part.runs == 1


def test_a_count_around_it_has_products_with_weights_apart(counted):
    part = Part(twice=True).requires_grad_(False)
    first, second = (count_flops(part, images()) for _ in range(2))
    assert first == second
    assert (first.total, first.modules) == (2 * 3 * 4 * 6 + 2 * 3 * 6 * 3, 2 * 3 * 4 * 6)
    assert Part.runs == 1


def test_without_gradients_any_network_is_frozen(counted):
    part = Part()
    with torch.no_grad():
        part(images()), part(images())
    assert Part.runs == 1


def hooked(part):
    part.layers[0].register_forward_hook(lambda *_: None)


def holding_a_tensor(part):
    part.held = torch.ones(3, device="cpu")


def with_an_object(part):
    part.helper = object()


@pytest.mark.parametrize("change", [hooked, holding_a_tensor, with_an_object], ids=lambda f: f.__name__)
def test_what_has_ways_of_its_own_is_run(counted, change):
    part = Part().requires_grad_(False)
    change(part)
    part(images()), part(images())
    assert Part.runs == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda part: part(images(5)),
        lambda part: part(images(requires_grad=True)),
        lambda part: part.eval()(images()),
        lambda part: part.requires_grad_(True)(images()),
    ],
    ids=["size", "gradient", "mode", "trained"],
)
def test_other_calls_are_run(counted, other):
    part = Part().requires_grad_(False)
    part(images())
    other(part)
    assert Part.runs == 2


def test_labels_are_not_looked_past(counted):
    class Labelled(Part):
        def forward(self, x, labels):
            return super().forward(x[labels == 0])

    part = Labelled().requires_grad_(False)
    sizes = [len(part(images(), torch.tensor(labels, device="cpu"))[0]) for labels in ([0, 0, 1], [0, 1, 1])]
    assert sizes == [2, 1]


def test_a_part_changed_in_another_stage_is_looked_at_anew(counted):
    part = Part().requires_grad_(False)
    plain = counted.of(lambda: part(images()))
    part.twice = True
    counted.stage += 1
    assert counted.of(lambda: part(images())) == plain + 2 * 3 * 6 * 3
    assert Part.runs == 2
