"""The diagonal of the Fisher information, a batch at a time, and what one published code takes for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.per_example import summed_gradients

Labels = Literal["true", "true_weighted", "sampled", "predicted", "all"]


def fisher_diagonal(
    network: nn.Module,
    logits: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    labels: Labels = "sampled",
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """Mean over examples of the squared gradient of log p(y | x), per parameter of `network`, in its order.

    logits: x -> [N, K] through `network`, over the K active classes; batches of (x, y) with y in 0..K-1.
    labels: whose y: "true" (the empirical Fisher), "sampled" from the model, "predicted" (its argmax), or "all",
    each weighted by its probability (the exact Fisher: expectation over the model's own distribution).
    "true_weighted" is the true label's term of "all" alone, as the code of Buzzega et al. 2020 has it.

    Call in eval mode: an example's gradient must not depend on the rest of its batch.
    """
    total = [torch.zeros_like(p) for p in network.parameters()]
    n = 0
    for x, y in batches:
        targets = partial(_targets, y=y, labels=labels, generator=generator)
        for s, t in zip(summed_gradients(network, logits, x, targets, _log_likelihood, 2), total, strict=True):
            t += s
        n += len(x)
    if n == 0:
        raise ValueError("no examples to estimate the Fisher information from")
    return [t / n for t in total]


def squared_mean_gradient(
    network: nn.Module, logits: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    """The square of the mean over examples of the gradient of log p(y | x), the true y; arguments as above.

    What Lopez-Paz & Ranzato's code (2017, model/ewc.py) uses for the Fisher information: gradients of opposite sign
    cancel before they are squared, so it is far smaller, and goes to 0 where the network fits the examples.
    """
    parameters = list(network.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    n = 0
    with torch.enable_grad():
        for x, y in batches:
            # the sum over examples of -log p: its sign is lost in the square
            loss = F.cross_entropy(logits(x), y, reduction="sum")
            for t, g in zip(total, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
                if g is not None:
                    t += g
            n += len(x)
    if n == 0:
        raise ValueError("no examples to estimate the Fisher information from")
    return [(t / n).square() for t in total]


def _targets(
    scores: Tensor, y: Tensor, labels: Labels, generator: torch.Generator | None
) -> list[tuple[Tensor, Tensor]]:
    """Pairs (y [N], weight [N]) whose weighted squared gradients sum to one Fisher estimate."""
    ones = torch.ones(len(scores), device=scores.device)
    p = F.softmax(scores.detach(), dim=1)
    if labels == "true":
        return [(y, ones)]
    if labels == "true_weighted":
        return [(y, p.gather(1, y[:, None]).flatten())]
    if labels == "predicted":
        return [(p.argmax(1), ones)]
    if labels == "sampled":
        return [(torch.multinomial(p.cpu(), 1, generator=generator).flatten().to(scores.device), ones)]
    return [(torch.full_like(y, k), p[:, k]) for k in range(p.shape[1])]


def _log_likelihood(scores: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    # sqrt: the weight must come out of the square as it is
    return F.log_softmax(scores, dim=1).gather(1, target[:, None]).flatten() * weight.sqrt()
