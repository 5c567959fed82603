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


def distillation(student: Tensor, teacher: Tensor, temperature: float, squared: bool = True) -> Tensor:
    """T^2 x cross-entropy of the softened student against the softened teacher, mean over the batch.

    Hinton et al. 2015, as in Li & Hoiem 2017 (LwF) eq. 2-3. teacher [N, C]; student [N, C] or wider: the teacher gives
    the columns beyond its own the probability 0. squared=False leaves out the T^2, as iCaRL's successors do.
    """
    log_p = F.log_softmax(student / temperature, dim=1)[:, : teacher.shape[1]]
    q = F.softmax(teacher / temperature, dim=1)
    loss = -(q * log_p).sum(1).mean()
    return loss * temperature**2 if squared else loss


def turned(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine between the rows of two feature matrices [N, d].

    The less-forget constraint of UCIR (Hou et al. 2019, eq. 6) and, on final features, POD-flat.
    """
    return (1 - F.cosine_similarity(student, teacher)).mean()
