"""Losses that several methods share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scenarios.setting import Active


def cross_entropy(logits: Tensor, labels: Tensor, active: Active = None, reduction: str = "mean") -> Tensor:
    """Softmax cross-entropy over the active columns. logits [N, C], labels int64 [N] (columns of `logits`)."""
    if isinstance(active, slice):
        return F.cross_entropy(logits[:, active], labels - active.start, reduction=reduction)
    return F.cross_entropy(restrict(logits, active), labels, reduction=reduction)


def binary_cross_entropy(logits: Tensor, targets: Tensor, active: Active = None) -> Tensor:
    """Sigmoid cross-entropy, the mean over images and active columns, in float32. logits and targets [N, C]."""
    terms = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    if isinstance(active, slice):
        return terms[:, active].mean()
    if active is None:
        return terms.mean()
    mask = active[:, : logits.shape[1]]
    return (terms * mask).sum() / mask.sum()


def restrict(logits: Tensor, active: Active) -> Tensor:
    """Logits [N, C] with the inactive columns pushed to the lowest finite value, so that softmax gives them 0."""
    if active is None:
        return logits
    if isinstance(active, slice):
        mask = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
        mask[active] = True
    else:
        mask = active[:, : logits.shape[1]]
    return logits.masked_fill(~mask, torch.finfo(logits.dtype).min)


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 x cross-entropy of the softened student against the softened teacher, mean over the batch.

    Hinton et al. 2015, as in Li & Hoiem 2017 (LwF) eq. 2-3. teacher [N, C]; student [N, C] or wider: the teacher gives
    the columns beyond its own the probability 0.
    """
    log_p = F.log_softmax(student / temperature, dim=1)[:, : teacher.shape[1]]
    q = F.softmax(teacher / temperature, dim=1)
    return -(q * log_p).sum(1).mean() * temperature**2
