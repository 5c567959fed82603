"""Networks side by side, one a task."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SeparateNetworks(nn.Module):
    """One whole network a task; all but the newest are frozen. forward: the logits of `task`'s over its own columns."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList()

    def add(self, network: nn.Module) -> None:
        """Freezes what exists and adds `network`."""
        self.requires_grad_(False)
        self.networks.append(network)

    def train(self, mode: bool = True) -> SeparateNetworks:
        """As nn.Module.train, but frozen networks stay in eval mode: running statistics are frozen too."""
        super().train(mode)
        for network in self.networks[:-1]:
            network.eval()
        return self

    def forward(self, x: Tensor, task: int) -> Tensor:
        """Raises IndexError for a task without a network."""
        if not 0 <= task < len(self.networks):
            raise IndexError(f"no network for task {task}: {len(self.networks)} so far")
        return self.networks[task](x)


def in_columns(own: Tensor, columns: slice, n_outputs: int) -> Tensor:
    """Logits own [N, k] in their `columns` of [N, n_outputs], the lowest finite value elsewhere."""
    scores = own.new_full((len(own), n_outputs), torch.finfo(own.dtype).min)
    scores[:, columns] = own
    return scores
