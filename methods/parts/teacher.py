"""The network as it was, kept to be distilled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.core.losses import distillation


class Teacher:
    """A frozen network and the groups of output columns that it was trained on."""

    def __init__(self, network: nn.Module, groups: list[slice]):
        self.network, self.groups = network, groups

    def logits(self, x: Tensor) -> Tensor:
        """[N, columns that it has], without gradients."""
        with torch.no_grad():
            return self.network(x)

    def loss(self, scores: Tensor, x: Tensor, temperature: float) -> Tensor:
        """Distillation of its answers for x by `scores` [N, columns], without T^2, summed over its groups."""
        answers = self.logits(x)
        terms = [distillation(scores[:, group], answers[:, group], temperature, squared=False) for group in self.groups]
        return torch.stack(terms).sum()

    @property
    def nbytes(self) -> int:
        return module_bytes(self.network)


def module_bytes(module: nn.Module) -> int:
    """Bytes of parameters and buffers (running statistics)."""
    return sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
