"""Gradients as one vector, for the methods that project them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def flat_gradient(parameters: list[nn.Parameter]) -> Tensor:
    """All `.grad` in one vector [P]; zeros for parameters that have none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def set_gradient(parameters: list[nn.Parameter], vector: Tensor) -> None:
    """Writes vector [P] into the `.grad`s, also of parameters that had none, such as other tasks' heads: leaving
    their part out would break what the projection promised."""
    for p, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
        if p.grad is None:
            p.grad = part.view_as(p).clone()
        else:
            p.grad.copy_(part.view_as(p))


def gradient_of(loss: Tensor, parameters: list[nn.Parameter], out: Tensor | None = None) -> Tensor:
    """d loss / d parameters as one vector [P], written into `out` where given; the `.grad`s are left alone."""
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    parts = [(torch.zeros_like(p) if g is None else g).flatten() for g, p in zip(grads, parameters, strict=True)]
    return torch.cat(parts, out=out)
