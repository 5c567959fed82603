"""Sharpness-aware minimisation, plain or adaptive: the gradient of the worst weights nearby."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def ascend(
    parameters: Iterable[nn.Parameter], rho: float, eta: float = 0.01, adaptive: bool = True
) -> list[tuple[nn.Parameter, Tensor]]:
    """Moves the parameters uphill along their `.grad`s, and returns what `restore` needs to bring them back.

    Adaptive SAM (Kwon et al. 2021, eq. 7): w + rho T^2 g / |T g|, where T = |w| + eta elementwise and the norm is
    over all parameters together, so that scaling a layer up and the next one down changes nothing. A factor common to
    all gradients cancels. eta 0.01 in the paper; 0 in the code that DyTox uses. Parameters without gradient stay.
    Without `adaptive` T = 1: plain SAM (Foret et al. 2021, eq. 2).
    """
    moved = [(p, p.grad, p.abs() + eta if adaptive else torch.ones_like(p)) for p in parameters if p.grad is not None]
    if not moved:
        return []
    length = torch.stack([(scale * gradient).norm() for _, gradient, scale in moved]).norm()
    before = [(p, p.clone()) for p, _, _ in moved]
    for p, gradient, scale in moved:
        p.add_(rho * scale.square() * gradient / (length + 1e-12))
    return before


@torch.no_grad()
def restore(before: list[tuple[nn.Parameter, Tensor]]) -> None:
    """Undoes `ascend`, bit for bit; the gradients stay as they are."""
    for p, value in before:
        p.copy_(value)
