"""Tensors over memory of their own size, and moved to a device, still shared where it was."""

from __future__ import annotations

import sys

import torch
from torch import Tensor


def compact(tensors: list[Tensor]) -> list[Tensor]:
    """The same tensors over memory that holds no more than they do.

    A slice keeps all that it was cut from, and would take it along into a file. Of every storage the part between the
    first and the last byte that a tensor has is copied where that is less than the whole.
    """
    spans: dict[int, tuple[int, int]] = {}
    for tensor in tensors:
        first, last = spans.get(_memory(tensor), (sys.maxsize, 0))
        start, stop = _span(tensor)
        spans[_memory(tensor)] = (min(first, start), max(last, stop))
    copies: dict[int, torch.UntypedStorage] = {}
    result = []
    for tensor in tensors:
        storage, (first, last) = tensor.untyped_storage(), spans[_memory(tensor)]
        if last - first >= storage.nbytes():
            result.append(tensor)
            continue
        if _memory(tensor) not in copies:
            whole = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage, 0, (storage.nbytes(),), (1,))
            copies[_memory(tensor)] = whole[first:last].clone().untyped_storage()
        result.append(_over(tensor, copies[_memory(tensor)], first))
    return result


def moved(tensors: list[Tensor], to: torch.device) -> list[Tensor]:
    """The same tensors on another device."""
    copies: dict[int, torch.UntypedStorage] = {}
    for tensor in tensors:
        if _memory(tensor) not in copies:
            storage = tensor.untyped_storage()
            bytes_there = torch.empty(storage.nbytes(), dtype=torch.uint8, device=to)
            copies[_memory(tensor)] = bytes_there.untyped_storage()
            copies[_memory(tensor)].copy_(storage)
    return [_over(tensor, copies[_memory(tensor)]) for tensor in tensors]


def _over(tensor: Tensor, storage: torch.UntypedStorage, first: int = 0) -> Tensor:
    """`tensor` over a copy of its storage that begins at its byte `first`."""
    offset = tensor.storage_offset() - first // tensor.itemsize
    empty = torch.empty(0, dtype=tensor.dtype, device=storage.device)
    return empty.set_(storage, offset, tensor.shape, tensor.stride())


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _span(tensor: Tensor) -> tuple[int, int]:
    """The first byte of its storage that a tensor has, and the one after the last."""
    start = int(tensor.storage_offset()) * tensor.itemsize
    if tensor.numel() == 0:
        return start, start
    steps = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (int(steps) + 1) * tensor.itemsize
