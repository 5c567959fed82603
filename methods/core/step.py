"""The two halves of a training step: from the loss to gradients, and from gradients to weights."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.core.recipe import Phase
from models import ranks


def backward(loss: Tensor, optimizer: torch.optim.Optimizer, phase: Phase, scaler: torch.amp.GradScaler | None) -> None:
    """Fresh gradients of `loss`, the mean over all ranks; fp16 ones, which only a scaled loss keeps from underflowing,
    are scaled back."""
    optimizer.zero_grad()
    (loss if scaler is None else scaler.scale(loss)).backward()
    ranks.average_gradients(phase.parameters)
    if scaler is not None:
        scaler.unscale_(optimizer)


def update(optimizer: torch.optim.Optimizer, phase: Phase, scaler: torch.amp.GradScaler | None) -> None:
    """Clips the gradients where the recipe says so and takes the optimizer's step."""
    if phase.recipe.clip_gradient is not None:
        phase.recipe.clip_gradient(phase.parameters)
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
