"""A GPU that is not there: processor tensors that say they are on cuda:0, and refuse what a GPU would refuse."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._C import _functorch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype as group_by_device
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).resolve().parents[1]

CUDA = torch.device("cuda", 0)
ACROSS = {"copy_", "__setitem__", "_has_compatible_shallow_copy_type"}
"""What takes tensors of both devices, and leaves those that it returns where they were."""
ASKS = {"item", "tolist", "__bool__", "__int__", "__float__", "__index__", "nonzero", "unique", "bincount", "equal"} | {
    "masked_select"
}
"""What needs a number that the device has yet to compute, if only to know how large its result is."""


class PretendedGpu(TorchFunctionMode):
    """While it is active, `.to("cuda:0")` and `device="cuda:0"` give copies on the processor that it knows again.

    A tensor is on the pretended GPU if its storage was put there: views, parameters and optimizers' states follow.
    AssertionError where tensors of both devices meet, where a generator of the processor draws for the GPU, and where
    numpy or a processor tensor's index would read from it.
    """

    placed: dict[int, StorageWeakRef] = {}  # of all of them: functions keep tensors between tests

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        """How often the host would have waited for the device, by the place that makes it: "methods/er.py:50 item"."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), func.__name__
        tensors = _tensors((args, kwargs))
        here = any(map(self.holds, tensors))
        if name in ("__get__", "__set__"):
            asked = func.__self__.__name__
            if here and name == "__get__" and asked in ("device", "is_cuda"):
                return CUDA if asked == "device" else True
            return self._put(func(*args, **kwargs), here)
        if name in ("to", "cpu", "cuda") and tensors and tensors[0] is args[0]:
            later = kwargs.get("non_blocking", False)
            moved = self._moved(name, args, kwargs)
            # from the processor's pageable memory it is staged at once and needs no wait; the other way there is no such thing
            if self.holds(moved) != here and (here or not later):
                self._waits(name)
            return moved
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda":
            kwargs["device"], here = "cpu", True
            if name in ("tensor", "as_tensor"):
                self._waits(name)
        if here and (name in ASKS or (name in ("__getitem__", "__setitem__") and self._index_waits(args))):
            self._waits(name)
        self._check(name, args, kwargs, tensors, here)
        return self._put(func(*args, **kwargs), here and name not in ACROSS)

    def _index_waits(self, args: Any) -> bool:
        """A mask asks how many it selects; an index of the processor's is sent."""
        indices = [t for t in _tensors(args[1]) if t.dim()]
        return any(t.dtype in (torch.bool, torch.uint8) or self.holds(t) != self.holds(args[0]) for t in indices)

    def _waits(self, name: str) -> None:
        own = next((f for f in reversed(traceback.extract_stack()) if _ours(f.filename)), None)
        place = f"{Path(own.filename).relative_to(ROOT)}:{own.lineno} " if own else ""
        self.waits[place + name] += 1

    def holds(self, tensor: Tensor) -> bool:
        """Whether `tensor` is on the pretended GPU."""
        reference = self.placed.get(_storage(tensor)._cdata)
        return reference is not None and not reference.expired()

    def _put(self, result: Any, there: bool = True) -> Any:
        for tensor in _tensors(result) if there else ():
            self.placed[_storage(tensor)._cdata] = StorageWeakRef(_storage(tensor))
        return result

    def _moved(self, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """`Tensor.to` in all its forms, `cpu` and `cuda`: a change of device is a copy."""
        tensor, *rest = args
        named = [a for a in (*rest, kwargs.pop("device", None)) if isinstance(a, torch.device | str)]
        others = [a for a in rest if isinstance(a, Tensor)]
        was, to = self.holds(tensor), self.holds(others[0]) if others else self.holds(tensor)
        if name in ("cpu", "cuda"):
            to, rest = name == "cuda", []
        elif named:
            to = torch.device(named[0]).type == "cuda"
        rest = [a for a in rest if not isinstance(a, torch.device | str | bool)]
        kwargs.pop("non_blocking", None)
        return self._put(Tensor.to(tensor, *rest, **kwargs | ({"copy": True} if was != to else {})), to)

    def _check(self, name: str, args: Any, kwargs: dict[str, Any], tensors: list[Tensor], here: bool) -> None:
        if not here:
            return
        assert name not in ("numpy", "__array__"), "numpy() of a tensor on cuda:0"
        assert not isinstance(kwargs.get("generator"), torch.Generator), f"{name}: a CPU generator draws for cuda:0"
        if name in ("__getitem__", "__setitem__"):
            assert self.holds(args[0]) or not any(map(self.holds, _tensors(args[1]))), "an index on cuda:0 into cpu"
        elif name not in ACROSS:  # a number in a tensor goes anywhere
            assert all(t.dim() == 0 or self.holds(t) for t in tensors), f"{name}: tensors on cuda:0 and on cpu"


def _ours(file: str) -> bool:
    return any(
        Path(file).is_relative_to(ROOT / package) for package in ("benchmarks", "methods", "models", "scenarios")
    )


def _grouped(lists: Any, with_indices: bool = False) -> Any:
    """torch groups tensors by device below Python, where these are the processor's: clipping would move its factor there."""
    grouped = group_by_device(lists, with_indices)
    return {(torch.device(CUDA), dtype): tensors for (_, dtype), tensors in grouped.items()}


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    while _functorch.is_functorch_wrapped_tensor(tensor):  # inside vmap and grad
        tensor = _functorch.get_unwrapped(tensor)
    return tensor.untyped_storage()


@pytest.fixture
def pretended_gpu(monkeypatch) -> Iterator[str]:
    """The device's name, while there is one."""
    with pretended(monkeypatch):
        yield str(CUDA)


@pytest.fixture
def counting_gpu(monkeypatch) -> Iterator[PretendedGpu]:
    """The device itself, whose `waits` grow."""
    with pretended(monkeypatch) as gpu:
        yield gpu


@contextmanager
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedGpu]:
    """A pretended GPU, as far as Python can pretend."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: None)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device=None: False)
    monkeypatch.setattr("torch.nn.utils.clip_grad._group_tensors_by_device_and_dtype", _grouped)
    with PretendedGpu() as gpu:
        yield gpu
