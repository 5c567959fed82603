"""Gradients one example at a time, added up over a batch without being held one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Prepare = Callable[[Tensor], Sequence[tuple[Tensor, ...]]]
"""scores [N, K] -> the further arguments of each objective to differentiate, tensors with a row an example."""
Objective = Callable[..., Tensor]
"""(scores [N, K], *arguments) -> [N], each entry of its own example alone."""


def summed_gradients(
    network: nn.Module,
    logits: Callable[[Tensor], Tensor],
    x: Tensor,
    prepare: Prepare,
    objective: Objective,
    power: Literal[1, 2],
) -> list[Tensor]:
    """Sum over examples and over `prepare`'s argument tuples of |d objective_n / d theta|^power, per parameter of
    `network`, in its order. logits: x [N, ...] -> [N, K] through `network`.

    A network whose parameters are all in linear layers applied once to [N, d] inputs takes a short cut: the
    gradient of example n is the outer product of the layer's output gradient d_n and its input a_n, so the sum is
    (|d|^power)^T (|a|^power), one product a layer. Others go through torch.func, one gradient an example, batched.
    Call in eval mode: an example's gradient must not depend on the rest of its batch.
    """
    if only_linear(network):
        found = _of_linear(network, logits, x, prepare, objective, power)
        if found is not None:
            return found
    return _by_vmap(network, logits, x, prepare, objective, power)


def only_linear(network: nn.Module) -> bool:
    """Whether all parameters are those of linear layers."""
    return all(isinstance(m, nn.Linear) for m in network.modules() if list(m.parameters(recurse=False)))


def _raised(tensor: Tensor, power: Literal[1, 2]) -> Tensor:
    return tensor.square() if power == 2 else tensor.abs()


def _of_linear(network, logits, x, prepare, objective, power) -> list[Tensor] | None:
    """None where a layer is used twice or on other than [N, d]."""
    calls: list[tuple[nn.Linear, Tensor, Tensor]] = []

    def keep(module, inputs, output):
        calls.append((module, inputs[0].detach(), output))

    handles = [m.register_forward_hook(keep) for m in network.modules() if isinstance(m, nn.Linear)]
    try:
        with torch.enable_grad():
            scores = logits(x)
    finally:
        for handle in handles:
            handle.remove()
    if len({module for module, _, _ in calls}) < len(calls) or any(a.dim() != 2 for _, a, _ in calls):
        return None
    sums = {id(p): torch.zeros_like(p) for p in network.parameters()}
    for arguments in prepare(scores):
        total = objective(scores, *arguments).sum()
        deltas = torch.autograd.grad(total, [output for _, _, output in calls], retain_graph=True, allow_unused=True)
        for (layer, a, _), delta in zip(calls, deltas, strict=True):
            if delta is None:
                continue
            d = _raised(delta, power)
            sums[id(layer.weight)] += d.T @ _raised(a, power)
            if layer.bias is not None:
                sums[id(layer.bias)] += d.sum(0)
    return [sums[id(p)] for p in network.parameters()]


def _by_vmap(network, logits, x, prepare, objective, power, chunk: int = 64) -> list[Tensor]:
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    with torch.no_grad():
        wanted = prepare(logits(x))

    def one(parameters, x, arguments):
        # `logits` closes over the module, so its parameters are swapped for the traced ones while it runs
        with _swapped(network, parameters):
            return objective(logits(x[None]), *(a[None] for a in arguments))[0]

    gradients = torch.func.vmap(torch.func.grad(one), in_dims=(None, 0, 0), chunk_size=chunk)
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for arguments in wanted:
        for name, g in gradients(parameters, x, arguments).items():
            total[name] += _raised(g, power).sum(0)
    return list(total.values())


def _swapped(network: nn.Module, parameters: dict[str, Tensor]):
    from torch.nn.utils.stateless import _reparametrize_module

    return _reparametrize_module(network, parameters)
