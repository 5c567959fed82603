"""The weights of a DINOv2 ViT-S/14 in an ONNX file, under timm's names.

ONNX is a protocol buffer; the few of its fields that hold tensors and name what uses them are read here, which needs
neither the runtime nor its schema.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

DEPTH = 11
"""Blocks that are read, of twelve."""
PATCHES = 37
"""Rows and columns of the position table."""
GRAPH, NODE, INITIALIZER = 7, 1, 5
"""Field numbers of onnx.proto: of the model's graph, and of a graph's nodes and tensors."""


def dinov2_weights(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """The tensors of timm's vit_small_patch14_dinov2 with DEPTH blocks, its position table resampled to the model's size.

    Raises ValueError where the file is no such network. The final norm is the identity's: that of the file is of features
    after the twelfth block, and timm's normalises what the blocks give.
    """
    from timm.layers import resample_abs_pos_embed

    tensors, products = _read(path)
    try:
        root = "backbone.embeddings."
        table = tensors[products["positions"]].reshape(1, PATCHES * PATCHES, -1)
        state = {
            "cls_token": tensors[root + "cls_token"],
            "pos_embed": torch.cat([tensors[products["position of cls"]].reshape(1, 1, -1), table], 1),
            "patch_embed.proj.weight": tensors[root + "patch_embeddings.projection.weight"],
            "patch_embed.proj.bias": tensors[root + "patch_embeddings.projection.bias"],
        }
        for k in range(DEPTH):
            layer, block = f"backbone.encoder.layer.{k}.", f"blocks.{k}."
            for theirs, ours in _SAME.items():
                state[block + ours] = tensors[layer + theirs]
            for theirs, ours in _LINEAR.items():
                state[f"{block}{ours}.weight"] = tensors[products[layer + theirs]].T
                state[f"{block}{ours}.bias"] = tensors[f"{layer}{theirs}.bias"]
            parts = [f"{layer}attention.attention.{part}" for part in ("query", "key", "value")]
            state[f"{block}attn.qkv.weight"] = torch.cat([tensors[products[part]].T for part in parts])
            state[f"{block}attn.qkv.bias"] = torch.cat([tensors[f"{part}.bias"] for part in parts])
    except KeyError as error:
        raise ValueError(f"{path.name} is no DINOv2 ViT-S/14: it has no {error}") from None
    wanted = model.state_dict()
    state |= {name: wanted[name] for name in ("norm.weight", "norm.bias")}
    side = math.isqrt(wanted["pos_embed"].shape[1] - 1)
    state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], [side, side], antialias=False)  # as DINOv2
    return state


_SAME = {f"{n}.{part}": f"{n}.{part}" for n in ("norm1", "norm2") for part in ("weight", "bias")} | {
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
}
_LINEAR = {"attention.output.dense": "attn.proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name; and the names of those that have none of their own in the network, by what they are."""
    tensors: dict[str, Tensor] = {}
    products: dict[str, str] = {}
    whole = memoryview(path.read_bytes())
    for graph in (value for number, value in _fields(whole) if number == GRAPH):
        for number, value in _fields(graph):
            if number == INITIALIZER:
                name, tensor = _tensor(value)
                tensors[name] = tensor
            elif number == NODE:
                inputs = [bytes(v).decode() for n, v in _fields(value) if n == 1]
                output = next((bytes(v).decode() for n, v in _fields(value) if n == 2), "")
                if output.endswith("/MatMul_output_0") and len(inputs) == 2:
                    products[output.removesuffix("/MatMul_output_0").strip("/").replace("/", ".")] = inputs[1]
                elif output == "/backbone/embeddings/Reshape_1_output_0":
                    products["positions"] = inputs[0]
                elif output == "/backbone/embeddings/Concat_6_output_0":
                    products["position of cls"] = inputs[0]
    return tensors, products


def _tensor(message: memoryview) -> tuple[str, Tensor]:
    """A TensorProto of floats with raw data: dims (1), name (8), raw_data (9)."""
    shape, name, data = [], "", memoryview(b"")
    for number, value in _fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else list(_varints(value))
        elif number == 8:
            name = bytes(value).decode()
        elif number == 9:
            data = value
    if len(data) != 4 * math.prod(shape):  # indices and the like
        return name, torch.empty(0)
    return name, torch.frombuffer(bytearray(data), dtype=torch.float32).view(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Field number and value of a protocol buffer's message: numbers, or the bytes of what has a length."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size, at = _varint(message, at)
        yield key >> 3, message[at : at + size]
        at += size


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
