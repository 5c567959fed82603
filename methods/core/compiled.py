"""Calls of a module that torch.compile would miss: `Module.compile` compiles forward alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch


def compiled(call: Callable[..., Any]) -> Callable[..., Any]:
    """A bound method of a module, such as `network.forward_parts`, compiled.

    What is compiled is the class's function, once: nothing is kept on the module, which is copied and stored.
    """
    return partial(_compiled(call.__func__), call.__self__)  # type: ignore[attr-defined]  # of bound methods


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function)
