"""Losses that several methods share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from scenarios.active import ALL, ActiveClasses


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    active: ActiveClasses = ALL,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross-entropy over the active classes, in float32. logits [N, C], labels int64 [N] (columns of `logits`).

    label_smoothing: part of the target spread evenly over the active classes (Szegedy et al. 2016).
    """
    logits = logits.float()
    if active.mask is not None and label_smoothing:
        targets = smoothed(F.one_hot(labels, logits.shape[1]).float(), active, label_smoothing)
        return soft_cross_entropy(logits, targets, active, reduction)
    if active.start:
        labels = labels - active.start
    return F.cross_entropy(active.select(logits), labels, reduction=reduction, label_smoothing=label_smoothing)


def soft_cross_entropy(logits: Tensor, targets: Tensor, active: ActiveClasses = ALL, reduction: str = "mean") -> Tensor:
    """-sum targets log softmax(logits) over the active classes, in float32; both [N, C].

    What of a target is of other classes is left out.
    """
    log_p = F.log_softmax(active.select(logits.float()), dim=1)
    losses = -(active.select(targets, 0) * log_p).sum(1)
    return losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses


def smoothed(targets: Tensor, active: ActiveClasses, part: float) -> Tensor:
    """Targets [N, C], of which `part` is spread evenly over each example's active classes."""
    if not part:
        return targets
    mask = active.mask_of(targets)
    return targets * (1 - part) + part * mask / mask.sum(1, keepdim=True)


def binary_cross_entropy(logits: Tensor, targets: Tensor, active: ActiveClasses = ALL) -> Tensor:
    """Sigmoid cross-entropy, the mean over images and active classes, in float32. logits and targets [N, C]."""
    return active.mean(F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none"))


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
