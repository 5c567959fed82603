"""The object that tensors and plain data are of."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cell.state.encoder import made_by_new
from benchmarks.cell.state.forms import FORMS
from benchmarks.cell.state.names import NotStored, look_up, may_be_named
from benchmarks.cell.state.tensors import moved
from scenarios.image_files import FileList


def decode(
    document: Mapping[str, Any],
    own: Collection[str] = (),
    files: Iterable[FileList] = (),
    device: torch.device | str = "cpu",
) -> Any:
    """The object that `encode` has made `document` of.

    own: as for `encode`; files: the lists that image files are bound to again; device: where all goes that was on an
    accelerator. Raises NotStored where the document is not what `encode` gives, and torch's errors of a device.
    """
    device = torch.device(device)
    try:
        nodes, tensors = list(document["nodes"]), list(document["tensors"])
        there = [n[1] for n in nodes if n[0] in ("tensor", "parameter") and n[3]] if device.type != "cpu" else []
        on_device = [tensors[k] for k in there]
        if not all(isinstance(t, Tensor) for t in tensors):
            raise NotStored("not of the right shape: its tensors are something else")
    except (LookupError, TypeError) as error:
        raise NotStored(f"not of the right shape: {_line(error)}") from error
    for k, tensor in zip(there, moved(on_device, device), strict=True):
        tensors[k] = tensor
    try:
        return _Decoder(nodes, tensors, own, {f.checksum: f for f in files}, device).value(document["root"])
    except (NotStored, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except Exception as error:
        raise NotStored(f"not of the right shape: {_line(error)}") from error


class _Decoder:
    def __init__(
        self,
        nodes: list[Any],
        tensors: list[Tensor],
        own: Collection[str],
        files: Mapping[str, FileList],
        device: torch.device,
    ):
        self.nodes, self.tensors, self.own, self.files, self.device = nodes, tensors, own, files, device
        self._made: dict[int, Any] = {}

    def value(self, item: Any) -> Any:
        if not isinstance(item, tuple):
            return item
        (place,) = item
        if place not in self._made:
            kind, *parts = self.nodes[place]
            if kind in FORMS:
                self._made[place] = FORMS[kind][2](*self._values(parts[0]))
            elif kind in _WHOLE:
                self._made[place] = _WHOLE[kind](self, *parts)
            elif kind in _FILLED:
                _FILLED[kind](self, place, *parts)
            else:
                raise NotStored(f"a node of unknown kind {kind!r}")
        return self._made[place]

    # ---- what is made of its parts ----------------------------------------------------------------------------

    def _tuple(self, items: list[Any]) -> tuple[Any, ...]:
        return tuple(self._values(items))

    def _frozenset(self, items: list[Any]) -> frozenset[Any]:
        return frozenset(self._values(items))

    def _tensor(self, index: int, trained: bool, accelerated: bool, attributes: Any) -> Tensor:
        return self._with(self.tensors[index].requires_grad_(trained), attributes)

    def _parameter(self, index: int, trained: bool, accelerated: bool, attributes: Any) -> Tensor:
        return self._with(nn.Parameter(self.tensors[index], trained), attributes)

    def _with(self, tensor: Tensor, attributes: Any) -> Tensor:
        if attributes is not None:
            tensor.__dict__.update(self.value(attributes))
        return tensor

    def _device(self, name: str) -> torch.device:
        device = torch.device(name)
        return device if device.type in ("cpu", "meta") else self.device

    def _scalar(self, array: Any) -> Any:
        return self.value(array)[()]

    def _files(self, checksum: str) -> FileList:
        if checksum not in self.files:
            raise NotStored(f"refers to image files (checksum {checksum}) that are not those of this data set")
        return self.files[checksum]

    def _partial(self, fn: Any, arguments: Any, keywords: Any) -> Any:
        return partial(self.value(fn), *self.value(arguments), **self.value(keywords))

    def _method(self, owner: Any, name: str) -> Any:
        held = self.value(owner)
        method = getattr(held, name) if name in dir(held if isinstance(held, type) else type(held)) else None
        if not isinstance(method, MethodType) or not may_be_named(method.__func__, self.own):
            raise NotStored(f"names {name!r} of {type(held).__name__}, which is no method that a file may name")
        return method

    def _name(self, name: str) -> Any:
        return look_up(name, self.own)

    def _enum(self, name: str, member: str) -> Any:
        cls = look_up(name, self.own)
        if not (isinstance(cls, type) and issubclass(cls, Enum)):
            raise NotStored(f"names {name!r}, which is no enumeration")
        return cls[member]

    # ---- what may hold itself: it is in its place before it is filled -----------------------------------------

    def _list(self, place: int, items: list[Any]) -> None:
        self._put(place, []).extend(self._values(items))

    def _set(self, place: int, items: list[Any]) -> None:
        self._put(place, set()).update(self._values(items))

    def _deque(self, place: int, length: int | None, items: list[Any]) -> None:
        self._put(place, deque(maxlen=length)).extend(self._values(items))

    def _dict(self, place: int, pairs: list[Any]) -> None:
        self._fill(self._put(place, {}), pairs)

    def _ordered(self, place: int, pairs: list[Any]) -> None:
        self._fill(self._put(place, OrderedDict()), pairs)

    def _counter(self, place: int, pairs: list[Any]) -> None:
        self._fill(self._put(place, Counter()), pairs)

    def _defaultdict(self, place: int, factory: Any, pairs: list[Any]) -> None:
        self._fill(self._put(place, defaultdict(self.value(factory))), pairs)

    def _object(self, place: int, name: str, arguments: list, state: Any, entries: list, pairs: list) -> None:
        cls = look_up(name, self.own)
        if not isinstance(cls, type) or not made_by_new(cls):
            raise NotStored(f"names {name!r}, which is no class of which objects are stored")
        made = self._put(place, cls.__new__(cls, *self._values(arguments)))
        told = self.value(state)
        if told is not None and hasattr(cls, "__setstate__"):
            made.__setstate__(told)
        elif told is not None:
            attributes, slots = told if isinstance(told, tuple) else (told, None)
            made.__dict__.update(attributes or {})
            for slot, value in (slots or {}).items():
                object.__setattr__(made, slot, value)
        for entry in self._values(entries):
            made.append(entry)
        self._fill(made, pairs)

    def _put(self, place: int, held: Any) -> Any:
        self._made[place] = held
        return held

    def _values(self, items: list[Any]) -> list[Any]:
        return [self.value(item) for item in items]

    def _fill(self, held: Any, pairs: list[Any]) -> None:
        for key, value in pairs:
            held[self.value(key)] = self.value(value)


_WHOLE: dict[str, Callable[..., Any]] = {
    name: getattr(_Decoder, f"_{name}")
    for name in ("tuple", "frozenset", "tensor", "parameter", "device", "scalar", "files", "partial", "method", "name")
} | {"enum": _Decoder._enum}
_FILLED: dict[str, Callable[..., None]] = {
    "list": _Decoder._list,
    "set": _Decoder._set,
    "deque": _Decoder._deque,
    "dict": _Decoder._dict,
    "OrderedDict": _Decoder._ordered,
    "Counter": _Decoder._counter,
    "defaultdict": _Decoder._defaultdict,
    "object": _Decoder._object,
}


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
