"""Which classes and functions a file may name.

This project's, those of the method's own module, and those of torch's and timm's layers and optimizers. None of them
runs what it is given: the loaders of `benchmarks` and timm's readers of weights are left out.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import nn

from benchmarks.request.plugins import plugin_modules
from methods import Method

PROJECT = ("methods", "models", "scenarios", "metrics")
RUNNER = ("benchmarks.cell.checkpoint", "benchmarks.cell.fit")
CLASSES = ("torch.nn.", "torch.optim.", "torch.amp.", "timm.layers.", "timm.models.", "torchvision.models.")
FUNCTIONS = ("torch.nn.", "torch.optim.", "torch.amp.", "timm.layers.")
BUILTINS = (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)


class CannotStore(TypeError):
    """Something that is neither plain data nor of a class that may be named; the message says where it is."""


class NotStored(ValueError):
    """What was read is not what `encode` gives, or names what may not be named."""


def modules_of(method: type[Method]) -> frozenset[str]:
    """Where a method's own classes and functions are, its bases' included, and those of this process's plug-ins."""
    return plugin_modules() | {cls.__module__ for cls in method.__mro__ if issubclass(cls, Method)}


def may_be_named(found: Any, own: Collection[str]) -> bool:
    """Whether a class or a Python function may; own: modules beside this project's."""
    return _permitted(found.__module__, isinstance(found, type), own) and "<" not in found.__qualname__


def name_of(found: Any, own: Collection[str]) -> str | None:
    """The "module:name" of a class or function, None where it may not be named."""
    if isinstance(found, type) and found in BUILTINS:
        return f"builtins:{found.__name__}"
    if isinstance(found, BuiltinFunctionType):  # elementwise functions such as relu, which say no module
        name = found.__name__
        if name != "from_file" and getattr(torch._C._VariableFunctions, name, None) == found:
            return f"torch:{name}"
        return f"torch.nn.functional:{name}" if getattr(nn.functional, name, None) is found else None
    return f"{found.__module__}:{found.__qualname__}" if may_be_named(found, own) else None


def look_up(name: str, own: Collection[str]) -> Any:
    """The class or function of a name. Raises NotStored for one that may not be named; its module is not imported."""
    module, _, qualified = name.partition(":")
    found: Any = None
    if module == "torch":
        found = getattr(torch._C._VariableFunctions, qualified, None)
    elif module == "builtins":
        found = {cls.__name__: cls for cls in BUILTINS}.get(qualified)
    elif _permitted(module, True, own) or _permitted(module, False, own):
        found = sys.modules[module] if module in own else importlib.import_module(module)
        for part in qualified.split("."):
            found = getattr(found, part, None)
    # an attribute of a module need not be its own: its name says whose it is
    if not isinstance(found, type | FunctionType | BuiltinFunctionType) or name_of(found, own) != name:
        raise NotStored(f"names {name!r}, which is no class or function that a file may name")
    return found


def _permitted(module: str, is_class: bool, own: Collection[str]) -> bool:
    if module in own or module.split(".")[0] in PROJECT:
        return True
    if is_class:
        return module in RUNNER or f"{module}.".startswith(CLASSES)
    return f"{module}.".startswith(FUNCTIONS)
