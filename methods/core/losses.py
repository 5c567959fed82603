"""Losses that several methods share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scenarios.setting import Active


def cross_entropy(
    logits: Tensor, labels: Tensor, active: Active = None, reduction: str = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """Softmax cross-entropy over the active columns, in float32. logits [N, C], labels int64 [N] (columns of `logits`).

    label_smoothing: part of the target spread evenly over the active columns (Szegedy et al. 2016).
    """
    logits = logits.float()
    if isinstance(active, slice):
        logits, labels, active = logits[:, active], labels - active.start, None
    if active is None or not label_smoothing:
        return F.cross_entropy(restrict(logits, active), labels, reduction=reduction, label_smoothing=label_smoothing)
    targets = F.one_hot(labels, logits.shape[1]).float()
    return soft_cross_entropy(logits, smoothed(targets, active, label_smoothing), active, reduction)


def soft_cross_entropy(logits: Tensor, targets: Tensor, active: Active = None, reduction: str = "mean") -> Tensor:
    """-sum targets log softmax(logits) over the active columns, in float32; both [N, C].

    What of a target lies in columns that are not active is left out.
    """
    logits = logits.float()
    if isinstance(active, slice):
        logits, targets, active = logits[:, active], targets[:, active], None
    if active is not None:
        active = active[:, : logits.shape[1]]
        targets = targets * active
    losses = -(targets * F.log_softmax(restrict(logits, active), dim=1)).sum(1)
    return losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses


def smoothed(targets: Tensor, active: Active, part: float) -> Tensor:
    """Targets [N, C], of which `part` is spread evenly over each example's active columns."""
    if not part:
        return targets
    mask = torch.ones_like(targets, dtype=torch.bool)
    if isinstance(active, slice):
        mask = torch.zeros_like(mask)
        mask[:, active] = True
    elif active is not None:
        mask = active[:, : targets.shape[1]]
    return targets * (1 - part) + part * mask / mask.sum(1, keepdim=True)


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


def distillation(student: Tensor, teacher: Tensor, temperature: float, squared: bool = True) -> Tensor:
    """T^2 x cross-entropy of the softened student against the softened teacher, mean over the batch.

    Hinton et al. 2015, as in Li & Hoiem 2017 (LwF) eq. 2-3. teacher [N, C]; student [N, C] or wider: the teacher gives
    the columns beyond its own the probability 0. squared=False leaves out the T^2, as iCaRL's successors do.
    """
    log_p = F.log_softmax(student.float() / temperature, dim=1)[:, : teacher.shape[1]]
    q = F.softmax(teacher.float() / temperature, dim=1)
    loss = -(q * log_p).sum(1).mean()
    return loss * temperature**2 if squared else loss


def turned(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine between the rows of two feature matrices [N, d].

    The less-forget constraint of UCIR (Hou et al. 2019, eq. 6) and, on final features, POD-flat.
    """
    return (1 - F.cosine_similarity(student.float(), teacher.float())).mean()
