"""Running a method without values: its tensors have shapes and no numbers, so a step of any network costs nothing.

torch's meta device does that for a network. A method, though, also selects examples by label, asks a tensor for a
number or takes features to the processor to choose among them; `valueless` answers for those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
META = torch.device("meta")


@contextmanager
def valueless() -> Iterator[None]:
    """Inside, tensors on the meta device mix with real ones, and can be asked for values.

    Integers and booleans (labels, task ids, rows) stay real, also when moved to the meta device, so that what is
    selected by them has its true size. Numbers taken from the meta device are 1, integers 0, conditions False; where
    elements are selected by a condition without values, all are.
    """
    asked = torch.is_autocast_enabled
    torch.is_autocast_enabled = lambda device=None: (
        device != "meta" and (asked(device) if device else asked())
    )  # raises
    try:
        with _Valueless():
            yield
    finally:
        torch.is_autocast_enabled = asked


class _Valueless(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._shapes: dict[tuple, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operation = func.overloadpacket
        if operation in _SLOW and not kwargs and _empty(args[0]):
            return self._remembered(func, args)
        if operation is aten._to_copy and kwargs.get("device") is not None:
            return self._moved(func, args, kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not any(_empty(t) for t in tensors):
            return func(*args, **kwargs)
        if operation is aten._local_scalar_dense:
            return _stand_in(args[0]).item()
        if operation in _BY_VALUE:
            return func(*tree_map(lambda t: _chosen(t) if isinstance(t, Tensor) else t, args), **kwargs)
        if operation in _INDEXED:
            args = (args[0], [rows for index in args[1] for rows in _rows(index)], *args[2:])
        out = func(*tree_map(_emptied, args), **tree_map(_emptied, kwargs))
        # what was to be written into a real tensor is not: it keeps what it has
        return args[0] if func._schema.is_mutable and isinstance(args[0], Tensor) and isinstance(out, Tensor) else out

    def _remembered(self, func: Any, args: Any) -> Any:
        """What the operation gave for arguments of these shapes before."""
        key = (func, *(_key(a) for a in args))
        if key not in self._shapes:
            self._shapes[key] = func(*tree_map(_emptied, args))
        return tree_map(lambda t: torch.empty_like(t) if isinstance(t, Tensor) else t, self._shapes[key])

    @staticmethod
    def _moved(func: Any, args: Any, kwargs: Any) -> Any:
        source, target = args[0], torch.device(kwargs["device"])
        if source.device == META and target != META:
            return _stand_in(source).to(target, kwargs.get("dtype") or source.dtype)
        if source.device != META and target == META and not source.is_floating_point():
            return func(*args, **(kwargs | {"device": source.device}))
        return func(*args, **kwargs)


_SLOW = {
    aten.convolution,
    aten.convolution_backward,
    aten.native_batch_norm,
    aten.native_batch_norm_backward,
    aten.cudnn_batch_norm,
    aten._native_batch_norm_legit,
    aten.native_layer_norm,
    aten.native_layer_norm_backward,
    aten.threshold_backward,
    aten.relu,
    aten.gelu,
    aten.gelu_backward,
}
"""Those of networks whose shapes torch works out in Python."""
_BY_VALUE = {aten.nonzero, aten._unique2, aten.unique_dim, aten.masked_select, aten.equal, aten.bincount}
"""Whose results have sizes, or are answers, that depend on values."""
_INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index, aten._index_put_impl_}


def _key(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape, value.dtype, value.stride()
    return tuple(value) if isinstance(value, list) else value


def _empty(tensor: Tensor) -> bool:
    return tensor.device == META


def _stand_in(tensor: Tensor) -> Tensor:
    make = torch.ones if tensor.is_floating_point() else torch.zeros
    return make(tensor.shape, dtype=tensor.dtype)


def _chosen(tensor: Tensor) -> Tensor:
    """All of a condition holds."""
    if tensor.device != META:
        return tensor
    return torch.ones(tensor.shape, dtype=torch.bool) if tensor.dtype == torch.bool else _stand_in(tensor)


def _rows(index: Any) -> tuple[Any, ...]:
    """A mask among indices as the places that it selects, a tensor for each of its dimensions."""
    if not isinstance(index, Tensor) or index.dtype not in (torch.bool, torch.uint8):
        return (index,)
    return _chosen(index).nonzero().unbind(1)


def _emptied(value: Any) -> Any:
    if isinstance(value, Tensor) and value.device != META:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
    return value
