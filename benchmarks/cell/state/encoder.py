"""An object as tensors and plain data."""

from __future__ import annotations

import copyreg
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.cell.state.forms import FORM_OF, FORMS
from benchmarks.cell.state.names import CannotStore, name_of
from benchmarks.cell.state.tensors import compact
from scenarios.image_files import FileList


def encode(root: Any, own: Collection[str] = ()) -> dict[str, Any]:
    """{"root", "nodes", "tensors"} of `root`: all that is reached from it, tensors no larger than what is held of them.

    own: modules beside this project's whose classes and functions may be named. Of a list of image files only the
    checksum is stored. Raises CannotStore.
    """
    encoder = _Encoder(own)
    place = encoder.value(root, "")
    return {"root": place, "nodes": encoder.nodes, "tensors": compact(encoder.tensors)}


def made_by_new(cls: type) -> bool:
    """Whether objects of `cls` are made anew by `__new__` and their state, and by no other function."""
    return cls.__reduce_ex__ is object.__reduce_ex__ and cls.__reduce__ is object.__reduce__


class _Encoder:
    def __init__(self, own: Collection[str]):
        self.own = own
        self.nodes: list[Any] = []
        self.tensors: list[Tensor] = []
        self._place: dict[int, int] = {}
        self._alive: list[Any] = []  # an address tells objects apart only while they live

    def value(self, item: Any, where: str) -> Any:
        """Plain data as it is, anything else as (its place among the nodes,). where: the way to it from the root."""
        if item is None or type(item) in (bool, int, float, str):
            return item
        if id(item) not in self._place:
            place = self._place[id(item)] = len(self.nodes)
            self._alive.append(item)
            self.nodes.append(None)  # taken before its parts are looked at: one of them may hold it
            self.nodes[place] = self._node(item, where)
        return (self._place[id(item)],)

    def _node(self, item: Any, where: str) -> list[Any]:
        kind = type(item)
        if isinstance(item, Tensor):
            return self._tensor(item, where)
        if kind in (list, tuple, set, frozenset):
            return [kind.__name__, self._values(item, where)]
        if kind in (dict, OrderedDict, Counter):
            return [kind.__name__, self._pairs(item.items(), where)]
        if kind is defaultdict:
            return ["defaultdict", self.value(item.default_factory, where), self._pairs(item.items(), where)]
        if kind is deque:
            return ["deque", item.maxlen, self._values(item, where)]
        if kind is torch.device:
            return ["device", str(item)]
        if kind in FORM_OF:
            return [FORM_OF[kind], self._values(self._told(FORMS[FORM_OF[kind]][1], item, where), where)]
        if isinstance(item, np.generic):
            return ["scalar", self.value(np.asarray(item), where)]
        if kind is FileList:
            return ["files", item.checksum]
        if kind is partial:
            return ["partial", *(self.value(part, where) for part in (item.func, item.args, item.keywords))]
        if isinstance(item, MethodType):
            self._named(item.__func__, where)
            return ["method", self.value(item.__self__, where), item.__name__]
        if isinstance(item, type | FunctionType | BuiltinFunctionType):
            return ["name", self._named(item, where)]
        if isinstance(item, Enum):
            return ["enum", self._named(kind, where), item.name]
        return self._object(item, where)

    def _tensor(self, item: Tensor, where: str) -> list[Any]:
        if type(item) not in (Tensor, nn.Parameter):
            raise CannotStore(f"{where} is a {type(item).__name__}, a tensor of its own kind")
        if item.layout != torch.strided or item.is_quantized or item.is_conj() or item.is_neg():
            raise CannotStore(f"{where} is a tensor of another layout than strided ({item.layout})")
        if item._backward_hooks or getattr(item, "_post_accumulate_grad_hooks", None):
            raise CannotStore(f"{where} is a tensor with hooks on its gradient")
        self.tensors.append(item.detach())
        attributes = self.value(item.__dict__, where) if item.__dict__ else None
        kind = "parameter" if isinstance(item, nn.Parameter) else "tensor"
        return [kind, len(self.tensors) - 1, item.requires_grad, item.device.type != "cpu", attributes]

    def _object(self, item: Any, where: str) -> list[Any]:
        name = self._named(type(item), where)
        reduced = self._told(_reduced, item, where) if made_by_new(type(item)) else ("",)
        if reduced[0] is not copyreg.__newobj__:  # type: ignore[attr-defined]
            raise CannotStore(f"{where} is a {type(item).__name__}, which has a way of its own to be stored")
        _, (_, *arguments), state, entries, pairs = (*reduced, None, None)[:5]
        return [
            "object",
            name,
            self._values(arguments, where),
            self.value(state, where),
            self._values(entries or (), where),
            self._pairs(pairs or (), where),
        ]

    def _told(self, tell: Callable[[Any], Any], item: Any, where: str) -> Any:
        """What an object's own code says of it."""
        try:
            return tell(item)
        except Exception as error:
            raise CannotStore(f"{where}: {error}") from error

    def _named(self, found: Any, where: str) -> str:
        name = name_of(found, self.own)
        if name is None:
            why = "has no name in its module" if "<" in found.__qualname__ else "a file may not name (state/names.py)"
            raise CannotStore(f"{where} needs {found.__module__}.{found.__qualname__}, which {why}")
        return name

    def _values(self, items: Iterable[Any], where: str) -> list[Any]:
        return [self.value(item, where) for item in items]

    def _pairs(self, items: Iterable[tuple[Any, Any]], where: str) -> list[Any]:
        pairs = []
        for key, value in items:
            inside = f"{where}.{key}".lstrip(".") if isinstance(key, str) else where
            pairs.append([self.value(key, where), self.value(value, inside)])
        return pairs


def _reduced(item: Any) -> Any:
    return item.__reduce_ex__(2)
