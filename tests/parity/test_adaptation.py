"""Parts of a fixed vision transformer and what is computed with them, against the releases' own code (golden/*.json)."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from methods.core.recipe import OptimizerSettings
from methods.ease import SubspaceHead
from methods.inflora import GradientMemory, directions
from methods.ncm import MeansHead
from methods.slca import ClassGaussians, align, normalised
from models.adapters import AdaptedBlock, Adapter, ScaleShift, with_scale_and_shift
from models.low_rank import DecoupledQKV, LowRankQKV
from models.task_heads import TaskHeads
from tests.parity.cases import GOLDEN, assert_close

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
HEADS = 2


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def wave(*shape: int, offset: int = 0, height: float = 0.1) -> torch.Tensor:
    """Parameters as the golden cases have them: the k-th scalar is height * sin(k + offset)."""
    n = torch.Size(shape).numel()
    return (height * torch.sin(torch.arange(n, dtype=torch.float64) + offset)).view(shape)


def filled(module: nn.Module, offsets: dict[str, int], **names: str) -> nn.Module:
    """`module` in double precision, each parameter a wave; offsets: by the release's name; names: ours that differ."""
    module.double().eval()
    own = dict(module.named_parameters())
    with torch.no_grad():
        for theirs, offset in offsets.items():
            parameter = own.pop(names.get(theirs, theirs))
            parameter.copy_(wave(*parameter.shape, offset=offset))
    assert not own, "parameters that the release does not have"
    return module


def offsets_of(case: dict[str, Any]) -> dict[str, int]:
    return {name: said["offset"] for name, said in case["inputs"]["parameters"].items()}


# ---- APER ----------------------------------------------------------------------------------------------------------


def test_adapter():
    document = golden("aper_adapter_ssf")
    case = document["cases"][0]
    ours = {f"{way}_proj.{kind}": f"{way}.{kind}" for way in ("down", "up") for kind in ("weight", "bias")}
    adapter = Adapter(8, 2, scale=0.1)
    assert not any(p.any() for p in (adapter.up.weight, adapter.up.bias, adapter.down.bias))
    assert case["outputs"]["start_has_zero_up_projection_and_zero_biases"]
    filled(adapter, offsets_of(case), **ours)
    x = tensor(document["inputs"]["x"])
    assert_close(adapter(x), case["outputs"]["without_residual"], **CLOSE)
    assert_close(x + adapter(x), case["outputs"]["with_residual"], **CLOSE)


def test_block_with_an_adapter_beside_its_mlp():
    document = golden("aper_adapter_ssf")
    case = document["cases"][1]
    block = AdaptedBlock(Block(8, 2, mlp_ratio=2, qkv_bias=True, norm_layer=partial(nn.LayerNorm, eps=1e-6)))
    block.adapters.append(Adapter(8, 2))
    offsets = offsets_of(case)
    qkv = {kind: [offsets.pop(f"attn.{part}_proj.{kind}") for part in "qkv"] for kind in ("weight", "bias")}
    ours = {name: f"block.{name.replace('fc', 'mlp.fc')}" for name in offsets}
    ours |= {f"adaptmlp.{w}_proj.{k}": f"adapters.0.{w}.{k}" for w in ("down", "up") for k in ("weight", "bias")}
    filled(
        block,
        offsets | {"attn.qkv.weight": 0, "attn.qkv.bias": 0},
        **ours,
        **{f"attn.qkv.{kind}": f"block.attn.qkv.{kind}" for kind in qkv},
    )
    for kind, (q, k, v) in qkv.items():
        parameter = getattr(block.block.attn.qkv, kind).data
        shape = (8, *parameter.shape[1:])
        parameter.copy_(torch.cat([wave(*shape, offset=offset) for offset in (q, k, v)]))
    x = tensor(document["inputs"]["x"])
    for chosen, expected in ((None, "without_adapter"), (0, "with_adapter")):
        block.chosen = chosen
        assert_close(block(x), case["outputs"][expected], **CLOSE)


def test_scale_and_shift():
    case = golden("aper_adapter_ssf")["cases"][2]
    inputs, outputs = case["inputs"], case["outputs"]

    def layer(scale, shift):
        made = ScaleShift(len(scale)).double()
        made.scale.data, made.shift.data = tensor(scale), tensor(shift)
        return made

    assert_close(layer(inputs["scale"], inputs["shift"])(tensor(inputs["x"])), outputs["tokens"], **CLOSE)
    # the release scales the last dimension wherever that is as long as the scales, of this picture too
    picture = tensor(inputs["picture_1x2x2x2"])
    assert_close(layer(inputs["picture_scale"], inputs["picture_shift"])(picture), outputs["picture"], **CLOSE)


def test_block_with_scales_and_shifts():
    document = golden("aper_adapter_ssf")
    case = document["cases"][3]
    transformer = VisionTransformer(
        8, 8, embed_dim=8, depth=1, num_heads=2, mlp_ratio=2, num_classes=0, norm_layer=partial(nn.LayerNorm, eps=1e-6)
    )
    block = with_scale_and_shift(transformer).blocks[0]
    ours = {}
    for name in offsets_of(case):
        if "ssf" in name:
            owner, _, part = name.rpartition("ssf_")
            kind, _, which = part.partition("_")
            first, second = {"": ("norm1", "norm2"), "attn.": ("qkv", "proj"), "mlp.": ("fc1", "fc2")}[owner]
            ours[name] = f"{owner}{first if which == '1' else second}.1.{kind}"
        else:
            layer, _, kind = name.rpartition(".")
            ours[name] = f"{layer}.0.{kind}"
    filled(block, offsets_of(case), **ours)
    assert_close(block(tensor(document["inputs"]["x"])), case["outputs"]["block"], **CLOSE)


def test_prototypes_of_plain_and_tuned_features():
    case = golden("aper_adapter_ssf")["cases"][4]
    inputs, outputs = case["inputs"], case["outputs"]
    head = MeansHead(6, 2, "cosine", unit_length=False)
    both = torch.cat([tensor(inputs["plain"]), tensor(inputs["adapted"])], dim=1)
    head.add(both, torch.tensor(inputs["labels"]))
    assert_close(head.means, outputs["prototypes"], **CLOSE)
    tests = torch.cat([tensor(inputs["test_plain"]), tensor(inputs["test_adapted"])], dim=1)
    assert_close(head(tests), outputs["logits"], **CLOSE)


# ---- EASE ----------------------------------------------------------------------------------------------------------

EASE = {0: {"anew": True, "beta": None}, 1: {"anew": False, "beta": None}, 2: {"anew": True, "beta": 0.5}}


@pytest.mark.parametrize("case", EASE)
def test_subspaces_and_the_means_that_are_made_up(case):
    document = golden("ease")
    inputs, expected = document["inputs"], document["cases"][case]["outputs"]
    columns = slice(0 if case == 2 else 1, None)
    prototypes = tensor(inputs["prototypes"]).view(7, 4, 4)[:, columns]
    tests = tensor(inputs["test_features_same_columns"]).view(-1, 4, 4)[:, columns]
    head = SubspaceHead(4, 0, 0.1, **EASE[case])
    for task, classes in enumerate(inputs["classes_of_tasks"], 1):
        subspaces = task + head.first
        head.grow(max(classes) + 1)
        head.add(prototypes[classes, :subspaces], torch.tensor(classes))
        if f"after_task_{task}" in expected:
            after = expected[f"after_task_{task}"]
            assert_close(head.means.flatten(1), after["weights"], **CLOSE)
            assert_close(head(tests[:, :subspaces]), after["reweighted_logits"], **CLOSE)


# ---- SLCA ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [0, 1])
def test_alignment_of_the_head(case):
    document = golden("slca")
    inputs, outputs = document["inputs"], document["cases"][case]["outputs"]
    features, labels = tensor(inputs["features"]), torch.tensor(inputs["labels"])
    statistics = ClassGaussians()
    for task, classes in enumerate(inputs["classes_of_tasks"]):
        rows = torch.isin(labels, torch.tensor(classes))
        statistics.add(features[rows], labels[rows], task)
    if "class_means" in outputs:
        assert_close(statistics.means, outputs["class_means"], **CLOSE)
        assert_close(statistics.covariances, outputs["class_covariances"], **CLOSE)
        assert_close(statistics.shrunk(), outputs["scaled_means_used_for_sampling"], **CLOSE)
    head = TaskHeads(3).double()
    for task in (0, 1):
        head.grow(2 * (task + 1))
    head.double().requires_grad_(True)
    for offset, parameter in enumerate(head.parameters()):
        parameter.data = wave(*parameter.shape, offset=offset, height=0.5)
    place, c = torch.arange(256 * 3, dtype=torch.float64), torch.arange(4, dtype=torch.float64)
    noise = (1.4 * torch.sin(1.3 * place + 0.7 * c[:, None])).view(4, 256, 3)
    x, y = statistics.drawn(noise)
    order = (77 * torch.arange(1024) + 5) % 1024
    x, y, tau = x[order], y[order], document["cases"][case]["inputs"]["tau"]
    given = head(x[:2]) if tau is None else normalised(head(x[:2]), head.sizes) / tau
    assert_close(given, outputs["first_2_rows_given_to_the_cross_entropy_in_step_1"], **CLOSE)
    optimizer = OptimizerSettings(lr=0.01, momentum=0.9, weight_decay=5e-4).build(head.parameters())
    losses = align(head, optimizer, x, y, 256, tau)
    assert_close(torch.stack(losses), outputs["losses_of_the_4_steps"], **CLOSE)
    for parameter, name in zip(head.parameters(), outputs["head_after"], strict=True):
        assert_close(parameter, outputs["head_after"][name], **CLOSE)


# ---- InfLoRA -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "energy"), [(0, 0.95), (1, 0.999)])
def test_directions_and_memory_over_four_tasks(case, energy):
    document = golden("inflora")
    outputs, memory = document["cases"][case]["outputs"], None
    for task in range(4):
        expected = outputs[f"task_{task + 1}"]
        tokens = tensor(document["inputs"][f"tokens_of_task_{task + 1}"])
        moment = tokens.T @ tokens / len(tokens)
        memory = memory or GradientMemory([moment])
        if "input_matrix_row_0" in expected:
            assert_close(moment[0], expected["input_matrix_row_0"], **CLOSE)
            assert_close(moment.diagonal(), expected["input_matrix_diagonal"], **CLOSE)
        (free,) = memory.free_parts([moment])
        rows = directions(free, moment, document["inputs"]["rank"])
        if "3_A^T_A (projector on the design space)" in expected:
            assert_close(3 * rows.T @ rows, expected["3_A^T_A (projector on the design space)"], **CLOSE)
        memory.add([moment], energy + (1 - energy) * task / 4)
        assert memory.bases[0].shape[1] == expected["basis_columns"]
        assert memory.outside[0] == (expected["type"] == "retain")
        assert_close(memory.bases[0] @ memory.bases[0].T, expected["basis_projector"], **CLOSE)


def test_attention_with_updates_of_keys_and_values():
    document = golden("inflora")
    case = document["cases"][2]
    offsets = offsets_of(case)
    x = tensor(document["inputs"]["tokens_of_task_1"])[None, :3]
    for tasks, expected in ((0, "no_lora"), (1, "task_0"), (2, "tasks_0_and_1")):
        attention = Attention(8, num_heads=HEADS, qkv_bias=True)
        attention.qkv = LowRankQKV(attention.qkv, ("key", "value"))
        for _ in range(tasks):
            attention.qkv.add(2)
        own = {n: o for n, o in offsets.items() if "lora" not in n or int(n.split(".")[1]) < tasks}
        ours = {"qkv.weight": "qkv.qkv.weight", "qkv.bias": "qkv.qkv.bias"}
        for part, name in (("k", "key"), ("v", "value")):
            for t in range(tasks):
                ours[f"lora_A_{part}.{t}.weight"] = f"qkv.downs.{name}.{t}"
                ours[f"lora_B_{part}.{t}.weight"] = f"qkv.ups.{name}.{t}"
        assert_close(filled(attention, own, **ours)(x), case["outputs"][expected], **CLOSE)


# ---- SD-LoRA -------------------------------------------------------------------------------------------------------


def decoupled(earlier: int) -> DecoupledQKV:
    """The layer of the golden cases with the first `earlier` tasks before the current one."""
    magnitudes = nn.Parameter(tensor([*[0.9, 0.7][:earlier], *[0.0] * (2 - earlier), 0.8]))
    layer = DecoupledQKV(nn.Linear(6, 18), ("query", "value"), magnitudes)
    for _ in range(earlier + 1):
        layer.add(2)
    layer.double()
    layer.qkv.weight.data, layer.qkv.bias.data = wave(18, 6, offset=0), wave(18, offset=1)
    for k in range(earlier + 1):
        first = 31 if k == earlier else 10 * k + 1
        for part, a, b in (("query", 0, 2), ("value", 1, 3)):
            current = k == earlier  # whose offsets are A_q, B_q, A_v, B_v, those of others A_q, A_v, B_q, B_v
            a, b = ({"query": (0, 1), "value": (2, 3)}[part]) if current else (a, b)
            layer.downs[part][k].data = wave(2, 6, offset=first + a)
            layer.ups[part][k].data = wave(6, 2, offset=first + b)
    return layer


@pytest.mark.parametrize("earlier", [0, 1, 2])
def test_directions_and_magnitudes(earlier):
    document = golden("sdlora")
    expected = document["cases"][0]["outputs"][f"{earlier}_earlier_tasks"]
    assert_close(decoupled(earlier)(tensor(document["inputs"]["x"])), expected, **CLOSE)


def test_gradients_of_directions_and_magnitudes():
    document = golden("sdlora")
    expected, layer = document["cases"][1]["outputs"], decoupled(2)
    output = layer(tensor(document["inputs"]["x"]))
    weights = 0.1 * torch.cos(torch.arange(output.numel(), dtype=torch.float64)).view(output.shape)
    (weights * output).sum().backward()
    assert_close(layer.magnitudes.grad[-1:], expected["magnitude_of_the_current_direction"], **CLOSE)
    assert_close(layer.magnitudes.grad[:2], expected["magnitudes_of_tasks_0_1"], **CLOSE)
    assert_close(layer.downs["query"][2].grad, expected["current_A_q"], **CLOSE)
    assert_close(layer.ups["query"][2].grad, expected["current_B_q"], **CLOSE)
    assert layer.downs["query"][0].grad is None
    assert layer.ups["value"][1].grad is None
