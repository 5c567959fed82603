"""Objects as tensors and plain data, and what a file may not name."""

from __future__ import annotations

import io
import random
from collections import Counter, OrderedDict, defaultdict, deque
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.cell.state import BrokenFile, CannotStore, NotStored, decode, encode, read_state, write_state
from methods import OptimizerSettings, Recipe
from methods.parts.reservoir import Reservoir
from models.cosine_heads import CosineHead
from scenarios import Examples


def stored(item: Any) -> bytes:
    file = io.BytesIO()
    torch.save(encode(item), file)
    return file.getvalue()


def again(item: Any) -> Any:
    return decode(torch.load(io.BytesIO(stored(item)), weights_only=True))


def test_plain_data_comes_back_as_it_was():
    data = {
        "numbers": [1, 2.5, float("inf"), 2**100, True, None, 3 + 4j],
        ("a", 1): {"b", 2},
        "ordered": OrderedDict(x=1, y=2),
        "counts": Counter("aab"),
        "sums": defaultdict(float, a=1.5),
        "last": deque([1, 2], maxlen=2),
        "bytes": b"\x00\xff",
        "slices": (slice(0, 4), range(3), frozenset({1})),
        "torch": (torch.Size([2, 3]), torch.bfloat16, torch.device("cpu")),
        "path": Path("a/b"),
        "recipe": Recipe(epochs=3, optimizer=OptimizerSettings(lr=0.1)),
        "numpy": np.float64(2.5),
    }
    back = again(data)
    assert back == data
    assert [type(v) for v in back.values()] == [type(v) for v in data.values()]
    assert back["sums"].default_factory is float
    assert back["last"].maxlen == 2


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3), np.zeros((0, 2)), np.array(["a", "bc"]), np.array(2.0)])
def test_arrays_come_back_as_they_were(array):
    back = again(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert (back == array).all()
    back[...] = back  # writable


def test_generators_go_on_where_they_were():
    generators = [
        random.Random(1),
        torch.Generator().manual_seed(1),
        np.random.default_rng(1),
        np.random.RandomState(1),
    ]
    draws = [
        lambda g: g.random(),
        lambda g: float(torch.rand((), generator=g)),
        lambda g: float(g.random()),
        lambda g: g.rand(),
    ]
    for generator, draw in zip(generators, draws, strict=True):
        draw(generator)
        back = again(generator)
        assert [draw(back) for _ in range(3)] == [draw(generator) for _ in range(3)]


def test_what_is_one_object_stays_one():
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    whole = torch.arange(10.0)
    holder: dict[str, Any] = {"network": network, "optimizer": optimizer, "whole": whole, "part": whole[2:4]}
    holder["self"] = [holder]
    back = again(holder)
    assert back["self"][0] is back
    parameters = list(back["network"].parameters())
    assert all(a is b for a, b in zip(back["optimizer"].param_groups[0]["params"], parameters, strict=True))
    assert set(back["optimizer"].state) == set(parameters)
    assert all(type(p) is nn.Parameter and p.requires_grad for p in parameters)
    back["whole"][2] = -1
    assert back["part"].tolist() == [-1, 3]
    for one, other in zip(network.state_dict().values(), back["network"].state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_frozen_views_and_memory_orders_are_kept():
    image = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    back = again([image, frozen, torch.rand(3, 4).t(), torch.ones(1).expand(5)])
    assert back[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(back[0], image)
    assert not back[1].requires_grad
    assert back[2].stride() == (1, 4)
    assert back[3].stride() == (0,)


def test_a_slice_does_not_take_along_what_it_was_cut_from():
    large = torch.arange(1_000_000)
    one, other = again([large[10:20], large[15:30]])
    assert len(stored([large[10:20], large[15:30], large[:0]])) < 5000
    assert one.tolist() == list(range(10, 20))
    one[5] = -1
    assert other.tolist() == [-1, *range(16, 30)]


@pytest.mark.parametrize("n", [0, 3, 9])
def test_a_buffer_is_stored_as_far_as_it_is_filled(n):
    buffer = Reservoir(5, torch.Generator().manual_seed(0))
    new = Examples(torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1), torch.arange(n), 1)
    buffer.add(new, half=torch.arange(n)[:, None] / 2)
    back = again(buffer)
    for _ in range(2):
        if n:
            assert torch.equal(back.examples.labels, buffer.examples.labels)
            assert torch.equal(back.examples.images, buffer.examples.images)
            assert torch.equal(back.beside["half"][: len(back)], buffer.beside["half"][: len(buffer)])
        assert len(back) == len(buffer) == min(buffer.seen, 5)
        more = Examples(torch.ones(4, 1, 1, 1, dtype=torch.uint8), torch.arange(50, 54), 2)
        n = n + 4
        for place in (back, buffer):
            place.add(more, half=torch.ones(4, 1))


def test_functions_classes_and_methods_are_stored_by_name():
    layer = nn.Linear(2, 2)
    things = [nn.functional.relu, nn.functional.gelu, torch.relu, CosineHead, partial(CosineHead, proxies=2), dict]
    back = again(things)
    assert back[:4] == things[:4]
    assert back[4].func is CosineHead
    assert back[4].keywords == {"proxies": 2}
    assert back[5] is dict
    held, method = again([layer, layer.reset_parameters])
    assert method.__self__ is held


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"a": {"scale": lambda x: x}}, r"a.scale needs .*<lambda>"),
        ({"f": eval}, "f needs builtins.eval"),
        ({"file": io.StringIO()}, "file needs _io.StringIO"),
        ({"process": Path.exists}, "process needs pathlib.Path.exists"),
        ({"load": torch.load}, "load needs torch.serialization.load"),
        ({"t": torch.eye(2).to_sparse()}, "t is a tensor of another layout"),
        ({"a": np.array([object()])}, "a: a numpy array of object"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(item, message):
    with pytest.raises(CannotStore, match=message):
        encode(item)


def test_a_hook_on_a_gradient_is_not_lost_in_silence():
    parameter = nn.Parameter(torch.ones(1))
    parameter.register_hook(lambda g: 2 * g)
    with pytest.raises(CannotStore, match="weight is a tensor with hooks"):
        encode({"weight": parameter})


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "subprocess:Popen",
        "torch:load",
        "torch:from_file",
        "torch.hub:load",
        "torch.serialization:load",
        "torch.jit:ScriptModule",
        "torch.nn.modules.module:torch.load",
        "methods.core.method:torch.load",
        "methods.core.method:copy.os.system",
        "methods.core.hyperparameters:inspect",
        "benchmarks.contract.load:load_methods",
        "benchmarks.cell.checkpoint:os.system",
        "timm.models._helpers:load_state_dict",
        "no.such:thing",
        "methods:nothing",
    ],
)
def test_what_a_file_may_not_name_is_not_looked_up(name):
    for node in (["name", name], ["object", name, [], None, [], []], ["enum", name, "A"]):
        with pytest.raises(NotStored):
            decode({"root": (0,), "nodes": [node], "tensors": []})


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"root": (0,), "nodes": [], "tensors": []},
        {"root": (0,), "nodes": 3, "tensors": []},
        {"root": (0,), "nodes": [["list"]], "tensors": []},
        {"root": (0,), "nodes": [["unknown", 1]], "tensors": []},
        {"root": (0,), "nodes": [["tuple", [(0,)]]], "tensors": []},
        {"root": (0,), "nodes": [["tensor", 0, False, False, None]], "tensors": []},
        {"root": (0,), "nodes": [["tensor", 0, True, False, None]], "tensors": [torch.arange(3)]},
        {"root": (0,), "nodes": [["tensor", 0, False, False, None]], "tensors": ["no tensor"]},
        {"root": (0,), "nodes": [["object", "models.heads:LinearHead", [], 3, [], []]], "tensors": []},
        {"root": (0,), "nodes": [["generator", ["cpu", 3]]], "tensors": []},
        {"root": (0,), "nodes": [["files", "0123"]], "tensors": []},
        {"root": (0,), "nodes": [["method", (1,), "save"], ["dict", []]], "tensors": []},
    ],
)
def test_a_document_of_an_odd_shape_is_refused(document):
    with pytest.raises(NotStored):
        decode(document)


def test_a_file_is_read_by_torch_and_by_nothing_when_it_is_damaged(tmp_path):
    path = write_state(tmp_path / "a.pt", {"a": torch.arange(3), "b": "text"})
    assert torch.load(path, weights_only=True)["a"].tolist() == [0, 1, 2]
    assert read_state(path)["b"] == "text"
    content = path.read_bytes()
    for damaged in (b"", content[:20], content[:-1], content + b"x", b"\0" * len(content)):
        path.write_bytes(damaged)
        with pytest.raises(BrokenFile, match="checksum"):
            read_state(path)
