"""What of a network goes through torch.compile: the call of its backbone, and other calls that methods train by.

With `reduce-overhead`, torch puts what it compiled for a GPU into CUDA graphs, which are launched as one. A graph writes
its results where it wrote them the time before, so they live until the next step (`step_begins`); torch raises an error
where older ones are read. Only calls that take gradients go through graphs: features of whole data sets are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal

import torch
from torch import nn

Compile = bool | Literal["reduce-overhead"]
"""Whether, and in which of torch's modes."""


def compile_call(module: nn.Module, how: Compile) -> None:
    """Calls of `module` from now on: compiled. A copy of it, or what is stored of it, is not."""
    if module._compiled_call_impl is not None:
        return
    module.compile(**_options(how))
    if how == "reduce-overhead":
        made: Any = module._compiled_call_impl
        module._compiled_call_impl = partial(_graphs_for_gradients, made, module._call_impl)


def compiled(call: Callable[..., Any], how: Compile) -> Callable[..., Any]:
    """A bound method of a module, such as `network.forward_parts`, compiled: `Module.compile` compiles forward alone.

    What is compiled is the class's function, once: nothing is kept on the module, which is copied and stored.
    """
    function, module = call.__func__, call.__self__  # type: ignore[attr-defined]  # of bound methods
    made = partial(_compiled(function, how), module)
    return partial(_graphs_for_gradients, made, call) if how == "reduce-overhead" else made


def step_begins(how: Compile) -> None:
    """Before each step: results of the step before may be overwritten."""
    if how == "reduce-overhead":
        torch.compiler.cudagraph_mark_step_begin()


def _options(how: Compile) -> dict[str, str]:
    return {"mode": how} if isinstance(how, str) else {}


@cache
def _compiled(function: Callable[..., Any], how: Compile) -> Callable[..., Any]:
    return torch.compile(function, **_options(how))  # type: ignore[call-overload]


def _graphs_for_gradients(
    graphs: Callable[..., Any], eager: Callable[..., Any], /, *arguments: Any, **named: Any
) -> Any:
    return (graphs if torch.is_grad_enabled() else eager)(*arguments, **named)
