"""The diagonal of the Fisher information, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Labels = Literal["true", "sampled", "predicted", "all"]


def fisher_diagonal(
    network: nn.Module,
    logits: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    labels: Labels = "sampled",
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """Mean over examples of the squared gradient of log p(y | x), per parameter of `network`, in its order.

    logits: x -> [N, K] through `network`, over the K outputs that compete; batches of (x, y) with y in 0..K-1.
    labels: whose y: "true" (the empirical Fisher), "sampled" from the model, "predicted" (its argmax), or "all",
    each weighted by its probability (the exact Fisher: expectation over the model's own distribution).

    A network whose parameters are all in linear layers applied once to [N, d] inputs takes a short cut: the
    gradient of example n is the outer product of the layer's output gradient d_n and its input a_n, so the sum of
    squares is (d^2)^T (a^2), one product a layer. Others go through torch.func, one gradient an example, batched.
    Call in eval mode: an example's gradient must not depend on the rest of its batch.
    """
    squares = _squares_of_linear if _only_linear(network) else _squares_by_vmap
    total = [torch.zeros_like(p) for p in network.parameters()]
    n = 0
    for x, y in batches:
        for s, t in zip(squares(network, logits, x, y, labels, generator), total, strict=True):
            t += s
        n += len(x)
    if n == 0:
        raise ValueError("no examples to estimate the Fisher information from")
    return [t / n for t in total]


def _targets(
    scores: Tensor, y: Tensor, labels: Labels, generator: torch.Generator | None
) -> list[tuple[Tensor, Tensor]]:
    """Pairs (y [N], weight [N]) whose weighted squared gradients sum to one Fisher estimate."""
    ones = torch.ones(len(scores), device=scores.device)
    p = F.softmax(scores.detach(), dim=1)
    if labels == "true":
        return [(y, ones)]
    if labels == "predicted":
        return [(p.argmax(1), ones)]
    if labels == "sampled":
        return [(torch.multinomial(p.cpu(), 1, generator=generator).flatten().to(scores.device), ones)]
    return [(torch.full_like(y, k), p[:, k]) for k in range(p.shape[1])]


def _only_linear(network: nn.Module) -> bool:
    return all(isinstance(m, nn.Linear) for m in network.modules() if list(m.parameters(recurse=False)))


def _squares_of_linear(network, logits, x, y, labels, generator) -> list[Tensor]:
    calls: list[tuple[nn.Linear, Tensor, Tensor]] = []

    def keep(module, inputs, output):
        calls.append((module, inputs[0].detach(), output))

    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    handles = [m.register_forward_hook(keep) for m in layers]
    try:
        with torch.enable_grad():
            scores = logits(x)
    finally:
        for handle in handles:
            handle.remove()
    used = [module for module, _, _ in calls]
    if len(set(used)) < len(used) or any(a.dim() != 2 for _, a, _ in calls):
        return _squares_by_vmap(network, logits, x, y, labels, generator)
    squares = {id(p): torch.zeros_like(p) for p in network.parameters()}
    log_p = F.log_softmax(scores, dim=1)
    for target, weight in _targets(scores, y, labels, generator):
        # sqrt: the weight must come out of the square as it is
        likelihood = (log_p.gather(1, target[:, None]).flatten() * weight.sqrt()).sum()
        outputs = [output for _, _, output in calls]
        deltas = torch.autograd.grad(likelihood, outputs, retain_graph=True, allow_unused=True)
        for (layer, a, _), delta in zip(calls, deltas, strict=True):
            if delta is None:
                continue
            d2 = delta.square()
            squares[id(layer.weight)] += d2.T @ a.square()
            if layer.bias is not None:
                squares[id(layer.bias)] += d2.sum(0)
    return [squares[id(p)] for p in network.parameters()]


def _squares_by_vmap(network, logits, x, y, labels, generator, chunk: int = 64) -> list[Tensor]:
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    with torch.no_grad():
        pairs = _targets(logits(x), y, labels, generator)

    def log_likelihood(parameters, x, y):
        # `logits` closes over the module, so its parameters are swapped for the traced ones while it runs
        with _swapped(network, parameters):
            return F.log_softmax(logits(x[None]), dim=1)[0].gather(0, y[None])[0]

    gradients = torch.func.vmap(torch.func.grad(log_likelihood), in_dims=(None, 0, 0), chunk_size=chunk)
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for target, weight in pairs:
        for name, g in gradients(parameters, x, target).items():
            total[name] += (g.square() * weight.view(-1, *[1] * (g.dim() - 1))).sum(0)
    return list(total.values())


def _swapped(network: nn.Module, parameters: dict[str, Tensor]):
    from torch.nn.utils.stateless import _reparametrize_module

    return _reparametrize_module(network, parameters)
