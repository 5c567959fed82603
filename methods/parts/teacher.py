"""The network as it was, kept to be distilled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.core.losses import distillation


class Teacher:
    """A frozen network, or a part of one, and the groups of output columns that it was trained on."""

    def __init__(self, network: nn.Module, groups: Sequence[slice] = ()):
        self.network, self.groups = network, groups

    def __call__(self, x: Tensor) -> Tensor:
        """What it says to x, without gradients: of a network logits [N, columns that it has]."""
        with torch.no_grad():
            return self.network(x)

    def loss(self, scores: Tensor, x: Tensor, temperature: float) -> Tensor:
        """Distillation of its answers for x by `scores` [N, columns], without T^2, summed over its groups."""
        answers = self(x)
        terms = [distillation(scores[:, group], answers[:, group], temperature, squared=False) for group in self.groups]
        return torch.stack(terms).sum()

    @property
    def nbytes(self) -> int:
        """Bytes of parameters and running statistics."""
        return sum(t.nbytes for t in (*self.network.parameters(), *self.network.buffers()))
