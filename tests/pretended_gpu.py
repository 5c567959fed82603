"""A GPU that is not there: processor tensors that say they are on cuda:0, and refuse what a GPU would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._C import _functorch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CUDA = torch.device("cuda", 0)
ACROSS = {"copy_", "__setitem__", "_has_compatible_shallow_copy_type"}
"""What takes tensors of both devices, and leaves those that it returns where they were."""


class PretendedGpu(TorchFunctionMode):
    """While it is active, `.to("cuda:0")` and `device="cuda:0"` give copies on the processor that it knows again.

    A tensor is on the pretended GPU if its storage was put there: views, parameters and optimizers' states follow.
    AssertionError where tensors of both devices meet, where a generator of the processor draws for the GPU, and where
    numpy or a processor tensor's index would read from it.
    """

    placed: dict[int, StorageWeakRef] = {}  # of all of them: functions keep tensors between tests

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
            return self._moved(name, args, kwargs)
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda":
            kwargs["device"], here = "cpu", True
        self._check(name, args, kwargs, tensors, here)
        return self._put(func(*args, **kwargs), here and name not in ACROSS)

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


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    while _functorch.is_functorch_wrapped_tensor(tensor):  # inside vmap and grad
        tensor = _functorch.get_unwrapped(tensor)
    return tensor.untyped_storage()


@pytest.fixture
def pretended_gpu(monkeypatch) -> Iterator[str]:
    """The device's name, while there is one."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: None)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device=None: False)
    with PretendedGpu():
        yield "cuda:0"
