"""A quadratic penalty around earlier solutions, shared by the methods that weigh parameters by importance."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class QuadraticPenalty:
    """strength * sum_p importance_p (theta_p - anchor_p)^2, over the parameters that existed when it was set.

    Several such penalties add up to one with the summed importance F = sum F_k around the weighted mean anchor
    sum F_k theta_k / F, plus a constant: the gradient is the same, at the cost of one. A parameter that has since
    grown in its first dimension (an output layer) is held in its old rows alone.
    """

    def __init__(self) -> None:
        self.importance: list[Tensor] = []
        self.anchor: list[Tensor] = []

    def __bool__(self) -> bool:
        return bool(self.importance)

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in (*self.importance, *self.anchor))

    def replace(self, importance: list[Tensor], parameters: list[nn.Parameter]) -> None:
        """One penalty of `importance` around the parameters as they are now, instead of what was there."""
        self.importance = [f.clone() for f in importance]
        self.anchor = [p.detach().clone() for p in parameters]

    def add(self, importance: list[Tensor], parameters: list[nn.Parameter]) -> None:
        """One more penalty, of `importance` around the parameters as they are now."""
        if not self:
            self.replace(importance, parameters)
            return
        for k, (f, p) in enumerate(zip(importance, parameters, strict=True)):
            old_f, old_a = grown(self.importance[k], f), grown(self.anchor[k], f)
            total = old_f + f
            # where nothing is important the anchor does not matter; keep it finite
            self.anchor[k] = torch.where(
                total > 0, (old_f * old_a + f * p.detach()) / total.clamp_min(1e-38), p.detach()
            )
            self.importance[k] = total

    def value(self, parameters: list[nn.Parameter]) -> Tensor:
        """The sum without `strength` (and without the constant that merging leaves out)."""
        return torch.stack([(f * (old_rows(p, f) - a).square()).sum() for f, a, p in self._terms(parameters)]).sum()

    @torch.no_grad()
    def add_gradient(self, parameters: list[nn.Parameter], strength: float) -> None:
        """Adds the gradient of strength * value to every `.grad`: what autograd would do, without its graph."""
        held = [(f, a, p) for f, a, p in self._terms(parameters) if p.grad is not None]
        if not held:
            return
        pull = torch._foreach_sub([old_rows(p, f) for f, _, p in held], [a for _, a, _ in held])
        torch._foreach_mul_(pull, [f for f, _, _ in held])
        torch._foreach_add_([old_rows(p.grad, f) for f, _, p in held], pull, alpha=2 * strength)

    def _terms(self, parameters: list[nn.Parameter]):
        return zip(self.importance, self.anchor, parameters, strict=True)


def old_rows(tensor: Tensor, like: Tensor) -> Tensor:
    """The part of `tensor` that `like`, from before it grew in its first dimension, covers."""
    return tensor if tensor.shape == like.shape else tensor[: like.shape[0]]


def grown(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor` with zero rows added up to the shape of `like`."""
    if tensor.shape == like.shape:
        return tensor
    result = torch.zeros_like(like)
    result[: tensor.shape[0]] = tensor
    return result
