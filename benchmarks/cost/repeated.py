"""Parts of a network that get no gradient, run once for each of their shapes: experts that are frozen, teachers, a network
that only predicts. A network that grows has more of them with every task, and every step calls them all again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torch.utils._pytree import tree_leaves

from benchmarks.cost.valueless import Counted, of_shapes, shapes_of
from metrics.flops import _Counter

MOST_KNOWN = 20_000
"""Calls that are remembered, of all cells that a process counts."""


@dataclass(frozen=True)
class _Known:
    """What a call gives, a tree of shapes, and costs; modules: of its products those with a weight, where it was asked."""

    made: Any
    total: int
    modules: int


class _NotKnown(Exception):
    """What a call gives may depend on something else than shapes."""


_known: dict[Hashable, _Known] = {}


@contextmanager
def frozen_parts_at_once(counted: Counted) -> Iterator[None]:
    """Inside `valueless`, a module with parts of its own that was called before with tensors of the same shapes gives new
    ones like those, and costs what it did then.

    Only where neither its parameters nor what it is given ask for gradients, and where nothing but numbers, strings and
    shapes says what it does: its class, attributes and parts. Modules with hooks, or with tensors or objects among their
    attributes, are run, as are those that are given labels. Within a stage of `counted` a module is looked at once.
    """
    call = nn.Module.__call__
    seen = _Seen(counted)

    def once(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if not module._modules:  # a layer is as quickly run as looked up
            return call(module, *args, **kwargs)
        grad, counter = torch.is_grad_enabled(), _counting_now()
        try:
            key = seen.number(module, grad), counter is not None, seen.given.key((args, kwargs), grad)
        except _NotKnown:
            return call(module, *args, **kwargs)
        known = _known.get(key)
        if known is None:
            total, of_modules = counted.total, counter.modules if counter else 0
            out = call(module, *args, **kwargs)
            if _shapes_only(out, counter) and _Seen(counted).number(module, grad) == key[0]:
                of_modules = counter.modules - of_modules if counter else 0
                if len(_known) >= MOST_KNOWN:
                    _known.clear()
                _known[key] = _Known(shapes_of(out), counted.total - total, of_modules)
            return out
        counted.total += known.total
        if counter:
            counter.total += known.total
            counter.modules += known.modules
        return of_shapes(known.made)

    nn.Module.__call__ = once  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = call  # type: ignore[method-assign]


class _Look(NamedTuple):
    """module: held, so that no other takes its id. number: the same for modules that are alike; None for one with ways of
    its own. parameters: also of its parts."""

    module: nn.Module
    number: int | None
    parameters: list[nn.Parameter]


class _Seen:
    """Modules that were looked at in this stage, and what they were given."""

    def __init__(self, counted: Counted):
        self.counted, self.stage = counted, counted.stage
        self.known: dict[tuple[int, bool], _Look] = {}
        self.given = _Given()

    def number(self, module: nn.Module, grad: bool) -> int:
        """Raises _NotKnown where a parameter asks for a gradient, or the module has ways of its own."""
        if self.stage != self.counted.stage:
            self.stage, self.known, self.given = self.counted.stage, {}, _Given()
        look = self._look(module)
        if look.number is None or (grad and any(parameter.requires_grad for parameter in look.parameters)):
            raise _NotKnown
        return look.number

    def _look(self, module: nn.Module) -> _Look:
        key = id(module), module.training
        if key not in self.known:
            parts = {name: self._look(part) for name, part in module._modules.items() if part is not None}
            parameters = [parameter for parameter in module._parameters.values() if parameter is not None]
            parameters += [parameter for part in parts.values() for parameter in part.parameters]
            self.known[key] = _Look(module, _number(module, parts), parameters)
        return self.known[key]


def _counting_now() -> _Counter | None:
    """The count around the call, of `count_flops`; it does not see what is not run."""
    counters = [mode for mode in _get_current_dispatch_mode_stack() if isinstance(mode, _Counter)]
    return counters[-1] if counters else None


class _Given:
    """What calls are given, as far as it decides what they do. kept: tuples of tensors, which a network hands to many of its
    parts, by id, with what was found of each."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, bool], tuple[tuple, Hashable]] = {}

    def key(self, value: Any, grad: bool) -> Hashable:
        """Raises _NotKnown."""
        if isinstance(value, Tensor):
            if not value.is_meta or not value.is_floating_point() or (grad and value.requires_grad):
                raise _NotKnown
            return value.shape, value.stride(), value.dtype
        if isinstance(value, tuple):
            kept = self._kept.get((id(value), grad))
            if kept is None:
                kept = value, (value.__class__, *[self.key(part, grad) for part in value])
                if all(isinstance(part, Tensor) for part in value):
                    self._kept[id(value), grad] = kept
            return kept[1]
        if isinstance(value, list):
            return list, *[self.key(part, grad) for part in value]
        if isinstance(value, dict):
            return tuple((name, self.key(part, grad)) for name, part in value.items())
        return _simple(value)


_numbers: dict[Hashable, int] = {}


def _number(module: nn.Module, parts: dict[str, _Look]) -> int | None:
    numbers = tuple((name, part.number) for name, part in parts.items())
    if any(number is None for _, number in numbers):
        return None
    try:
        return _numbers.setdefault((*_state(module), *numbers), len(_numbers))
    except _NotKnown:
        return None


def _state(module: nn.Module) -> Iterator[Hashable]:
    yield cast("Hashable", module.__class__)
    yield id(module.__class__)  # a class is not freed while its modules are held
    for name, value in module.__dict__.items():
        if name in ("_parameters", "_buffers"):
            yield from ((key, None if t is None else (t.shape, t.dtype)) for key, t in value.items())
        elif name != "_modules" and not (value.__class__ in _CONTAINERS and not value):  # empty: no hooks
            yield name, _simple(value)


_CONTAINERS = {dict, OrderedDict, set, list}
_SIMPLE = {bool, int, float, str, NoneType, torch.Size, torch.dtype}


def _simple(value: Any) -> Hashable:
    """1, 1.0 and True are equal, and mean different things."""
    if value.__class__ in _SIMPLE:
        return value.__class__, value
    if value.__class__ in (tuple, list):
        return value.__class__, *map(_simple, value)
    if value.__class__ is set:
        return frozenset(map(_simple, value))
    if isinstance(value, BuiltinFunctionType) or (isinstance(value, FunctionType) and not value.__closure__):
        return value
    raise _NotKnown


def _shapes_only(out: Any, counter: _Counter | None) -> bool:
    """Whether all that is given are tensors without values that are no weights."""
    for leaf in tree_leaves(out):
        if leaf is None:
            continue
        if not isinstance(leaf, Tensor) or not leaf.is_meta or not leaf.is_floating_point() or leaf.requires_grad:
            return False
        if counter and counter._is_weight(leaf):
            return False
    return True
