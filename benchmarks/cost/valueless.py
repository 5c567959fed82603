"""Running a method without values: its tensors have shapes and no numbers, so a step of any network costs nothing.

torch's meta device does that for a network. A method, though, also selects examples by label, asks a tensor for a
number or takes features to the processor to choose among them; `valueless` answers for those.

What an operation on tensors of some shapes makes, and its FLOPs, are worked out once and remembered: torch derives them
in Python, which takes ten times as long as to look them up, and a method repeats the same operations in every task.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from metrics.flops import _FORMULAS, _hides_products, count_flops

aten = torch.ops.aten
META = torch.device("meta")


@contextmanager
def valueless() -> Iterator[Counted]:
    """Inside, tensors on the meta device mix with real ones, and can be asked for values. Gives the count of FLOPs.

    Integers and booleans (labels, task ids, rows) stay real, also when moved to the meta device, so that what is
    selected by them has its true size. Numbers taken from the meta device are 1, integers 0, conditions False; where
    elements are selected by a condition without values, all are. Steps run as they do where `count_flops` counts.
    """
    asked = torch.is_autocast_enabled
    torch.is_autocast_enabled = lambda device=None: (
        device != "meta" and (asked(device) if device else asked())
    )  # raises
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    to = torch.nn.Module.to
    torch.nn.Module.to = _only_what_is_not_there(to)  # type: ignore[assignment,method-assign]
    eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    try:
        with eager, _Valueless() as mode:
            yield mode.counted
    finally:
        torch.is_autocast_enabled = asked
        torch.nn.Module.to = to  # type: ignore[method-assign]
        torch.backends.mha.set_fastpath_enabled(fastpath)


def _only_what_is_not_there(to: Callable[..., torch.nn.Module]) -> Callable[..., torch.nn.Module]:
    """`to` that moves only those tensors to the meta device that are elsewhere, where torch visits all: a network of many
    parts is moved whole each time it gets one more."""

    def moved(module: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
        if args != (META,) or kwargs:
            return to(module, *args, **kwargs)
        parts: list[torch.nn.Module | None] = [module]
        while parts:
            part = parts.pop()
            if part is not None:
                own = (*part._parameters.values(), *part._buffers.values())
                if any(tensor is not None and not tensor.is_meta for tensor in own):
                    part._apply(lambda tensor: tensor.to(META), recurse=False)
                parts += part._modules.values()
        return module

    return moved


class Counted:
    """total: FLOPs of all that has run, as `count_flops` counts them. stage: within one, no network changes its parts."""

    def __init__(self) -> None:
        self.total = 0
        self.stage = 0

    def of(self, fn: Callable[[], Any]) -> int:
        """Those of one call of `fn`."""
        before = self.total
        fn()
        return self.total - before


@dataclass(frozen=True)
class _Known:
    """What becomes of an operation on tensors of known shapes: it costs `flops` and, where tensors are real, is `run`;
    else it gives its first argument (`in_place`) or new tensors like `made` (_Shape, a tuple of such, or None)."""

    flops: int
    run: bool = False
    in_place: bool = False
    made: Any = None


@dataclass(frozen=True)
class _Shape:
    size: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


_known: dict[Hashable, _Known] = {}
MOST_KNOWN = 100_000
"""Operations that are remembered, of all cells that a process counts."""


class _Valueless(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counted = Counted()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here; to keep the compiler out takes longer than an operation that is known

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _is_view(func) and len(args) and isinstance(args[0], Tensor):
            return func(*args, **kwargs)
        try:
            key = (func, _key(args), _key(kwargs.items()) if kwargs else None)
            known = _known.get(key)
        except (TypeError, RuntimeError):  # an argument that cannot be looked up; sparse tensors, which have no strides
            key, known = None, None
        if known is None:
            return self._first(key, func, args, kwargs)
        self.counted.total += known.flops
        if known.run:
            return func(*args, **kwargs)
        return args[0] if known.in_place else of_shapes(known.made)

    def _first(self, key: Hashable, func: Any, args: Any, kwargs: Any) -> Any:
        """An operation that is not known; then it is, unless what it gives depends on values."""
        operation = func.overloadpacket
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if operation is aten._to_copy and kwargs.get("device") is not None:
            return self._moved(func, args, kwargs)
        if not any(t.is_meta for t in tensors):
            out, flops = _counted(func, args, kwargs)
            return self._remembered(key, _Known(flops, run=True), out)
        if operation is aten._local_scalar_dense:
            return _stand_in(args[0]).item()
        if operation in _BY_VALUE:
            return func(*tree_map(lambda t: _chosen(t) if isinstance(t, Tensor) else t, args), **kwargs)
        if operation in _INDEXED:
            key = None if any(_is_mask(index) for index in args[1]) else key
            args = (args[0], [rows for index in args[1] for rows in _rows(index)], *args[2:])
        before = [_shape(t) for t in tensors]
        out, flops = _counted(func, tree_map(_emptied, args), tree_map(_emptied, kwargs))
        if not func._schema.is_mutable:
            made = shapes_of(out)
            alike = all(isinstance(leaf, _Shape) or leaf is None for leaf in tree_leaves(made))
            return self._remembered(key if alike else None, _Known(flops, made=made), out)
        if isinstance(args[0], Tensor) and isinstance(out, Tensor):  # a real tensor keeps what it has
            kept = before == [_shape(t) for t in tensors]
            return self._remembered(key if kept else None, _Known(flops, in_place=True), args[0])
        return self._remembered(None, _Known(flops), out)

    def _remembered(self, key: Hashable, known: _Known, out: Any) -> Any:
        self.counted.total += known.flops
        if key is not None:
            if len(_known) >= MOST_KNOWN:
                _known.clear()
            _known[key] = known
        return out

    @staticmethod
    def _moved(func: Any, args: Any, kwargs: Any) -> Any:
        source, target = args[0], torch.device(kwargs["device"])
        if source.device == META and target != META:
            return _stand_in(source).to(target, kwargs.get("dtype") or source.dtype)
        if source.device != META and target == META and not source.is_floating_point():
            return func(*args, **(kwargs | {"device": source.device}))
        return func(*args, **kwargs)


_BY_VALUE = {aten.nonzero, aten._unique2, aten.unique_dim, aten.masked_select, aten.equal, aten.bincount}
"""Whose results have sizes, or are answers, that depend on values."""
_INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index, aten._index_put_impl_}


@cache
def _is_view(func: Any) -> bool:
    """Whether all that the operation gives is its first argument's memory: torch is quick at it, and it costs nothing."""
    given = func._schema.returns
    return not func._schema.is_mutable and bool(given) and all(r.alias_info is not None for r in given)


def _counted(func: Any, args: Any, kwargs: Any) -> tuple[Any, int]:
    """What the operation gives, and its FLOPs as `count_flops` has them, whose own way takes ten times as long."""
    formula = _FORMULAS.get(func.overloadpacket)
    if formula is not None:
        out = func(*args, **kwargs)
        return out, int(formula(*args, **kwargs, out_val=out))
    if _costs_nothing(func):
        return func(*args, **kwargs), 0
    given: list[Any] = []
    flops = count_flops(lambda: given.append(func(*args, **kwargs)))
    return given[0], flops.total


@cache
def _costs_nothing(func: Any) -> bool:
    """Whether an operation without a formula is no product, and hides none."""
    return not func._can_decompose() and not _hides_products(func.overloadpacket)


def _key(values: Any) -> tuple:
    """All of the arguments that shapes and FLOPs depend on."""
    key: list[Any] = []
    for value in values:
        if isinstance(value, Tensor):
            key.append((value.shape, value.stride(), value.dtype, value.is_meta))
        elif isinstance(value, (list, tuple)):
            key.append(_key(value))
        else:  # 1, 1.0 and True are equal, and make tensors of different types
            key.append((value.__class__, value))
    return tuple(key)


def _shape(tensor: Tensor) -> _Shape:
    return _Shape(tensor.shape, tensor.stride(), tensor.dtype)


def shapes_of(out: Any) -> Any:
    """`out` with a shape in place of each tensor."""
    return (
        _shape(out) if isinstance(out, Tensor) else tree_map(lambda t: _shape(t) if isinstance(t, Tensor) else t, out)
    )


def of_shapes(made: Any) -> Any:
    """New tensors without values for what `shapes_of` gave."""
    if isinstance(made, _Shape):
        return torch.empty_strided(made.size, made.stride, dtype=made.dtype, device=META)
    if isinstance(made, (list, tuple)):
        parts = [of_shapes(part) for part in made]
        return made._make(parts) if hasattr(made, "_make") else made.__class__(parts)
    return made if made is None else tree_map(lambda part: of_shapes(part) if isinstance(part, _Shape) else part, made)


def _stand_in(tensor: Tensor) -> Tensor:
    make = torch.ones if tensor.is_floating_point() else torch.zeros
    return make(tensor.shape, dtype=tensor.dtype)


def _chosen(tensor: Tensor) -> Tensor:
    """All of a condition holds."""
    if tensor.device != META:
        return tensor
    return torch.ones(tensor.shape, dtype=torch.bool) if tensor.dtype == torch.bool else _stand_in(tensor)


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)


def _rows(index: Any) -> tuple[Any, ...]:
    """A mask among indices as the places that it selects, a tensor for each of its dimensions."""
    return _chosen(index).nonzero().unbind(1) if _is_mask(index) else (index,)


def _emptied(value: Any) -> Any:
    if isinstance(value, Tensor) and value.device != META:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
    return value
