"""What a method really keeps: every tensor that can be reached from it, and which of them hold training images.

A method says in `footprint` what it stores, but a check should not have to believe it. This walks the method's
attributes, its class and the module it came from, through containers, objects and closures, and recognises training
images by their pixels: as stored, in [0, 1] or normalised. What is kept in another form is not recognised.
"""

from __future__ import annotations

import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from methods import Method
from scenarios import Scenario

_LEAVES = (str, bytes, int, float, complex, bool, slice, torch.Generator, torch.dtype, torch.device, torch.Size)


def reachable_tensors(roots: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Each tensor (and numpy array, as one) reachable from `roots`, once, with the path that leads to it."""
    seen: set[int] = set()
    stack = list(roots.items())[::-1]
    while stack:
        path, item = stack.pop()
        if item is None or isinstance(item, _LEAVES) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray) and item.dtype.kind in "biuf":
            yield path, torch.from_numpy(np.ascontiguousarray(item))
        elif isinstance(item, Tensor):
            yield path, item.detach()
        else:
            stack.extend(list(_parts(path, item))[::-1])


def _parts(path: str, item: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(item, Mapping):
        return [(f"{path}[{key!r}]", value) for key, value in list(item.items())]
    if isinstance(item, list | tuple | set | frozenset | deque):
        return [(f"{path}[{k}]", value) for k, value in enumerate(item)]
    if isinstance(item, partial):
        return [(f"{path}.func", item.func), (f"{path}.args", item.args), (f"{path}.keywords", item.keywords)]
    if isinstance(item, types.MethodType):
        return [(f"{path}.__self__", item.__self__), (f"{path}.__func__", item.__func__)]
    if isinstance(item, types.FunctionType):
        return [(f"{path}.__closure__", item.__closure__), (f"{path}.__defaults__", item.__defaults__)]
    if isinstance(item, types.CellType):
        try:
            return [(f"{path}.cell_contents", item.cell_contents)]
        except ValueError:  # an empty cell: a name not yet assigned
            return []
    if isinstance(item, type | types.ModuleType | types.BuiltinFunctionType):
        return []
    if isinstance(item, nn.Module):
        held = [(f"{path}.{name}", tensor) for name, tensor in item.state_dict(keep_vars=True).items()]
        return held + [(f"{path}.{name}", value) for name, value in vars(item).items()]
    slots = [name for cls in type(item).__mro__ for name in getattr(cls, "__slots__", ()) if isinstance(name, str)]
    attributes = {name: getattr(item, name) for name in slots if hasattr(item, name)} | getattr(item, "__dict__", {})
    return [(f"{path}.{name}", value) for name, value in attributes.items()]


class TrainingImages:
    """The training images of a scenario, to be recognised wherever they turn up."""

    def __init__(self, scenario: Scenario):
        self._shape = scenario.image_shape
        self._size = int(np.prod(scenario.image_shape))
        self._task: dict[bytes, tuple[int, int]] = {}
        for task in scenario.tasks:
            images = task.train.examples().images
            forms = [images, images.float() / scenario.normalise.scale, scenario.normalise(images)]
            for form in forms:
                for row, key in enumerate(self._keys(form)):
                    self._task[key] = (task.id, row)

    def kept(self, method: Method) -> dict[tuple[int, int], str]:
        """(task, row) -> path of every training image reachable from `method`, but for its view of the current task."""
        of_module, shared = (
            {name: value for name, value in vars(place).items() if not name.startswith("__")}
            for place in (sys.modules[type(method).__module__], type(method))
        )
        current = method.task.train.images.untyped_storage().data_ptr()
        held: dict[tuple[int, int], str] = {}
        for path, tensor in reachable_tensors({"self": method, "class": shared, "module": of_module}):
            if tensor.untyped_storage().data_ptr() == current or not self._may_hold(tensor):
                continue
            for key in self._keys(tensor):
                if key in self._task:
                    held.setdefault(self._task[key], path)
        return held

    def _may_hold(self, tensor: Tensor) -> bool:
        ends = (self._shape, self._shape[1:], (self._size,))
        return tensor.numel() > 0 and any(tuple(tensor.shape[-len(end) :]) == tuple(end) for end in ends)

    def _keys(self, images: Tensor) -> list[bytes]:
        """A key an image: pixels as they are for integers, in hundredths for floats, whatever their precision."""
        rows = images.detach().cpu().reshape(-1, self._size)
        coded = rows.to(torch.int16) if not rows.is_floating_point() else (rows.float() * 100).round().to(torch.int16)
        prefix = b"i" if not rows.is_floating_point() else b"f"
        return [prefix + row.tobytes() for row in coded.numpy()]
