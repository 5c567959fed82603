"""The diagonal of the Fisher information, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.per_example import summed_gradients

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


def _log_likelihood(scores: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    # sqrt: the weight must come out of the square as it is
    return F.log_softmax(scores, dim=1).gather(1, target[:, None]).flatten() * weight.sqrt()
