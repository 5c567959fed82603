"""An output layer of which each task has a part of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.heads import HeadInit, drawn


class TaskHeads(nn.Module):
    """Linear layers side by side, one for each growth; only the newest learns. [N, d] -> [N, n_outputs].

    Where columns are whole from the start there is one layer, which all tasks train.
    """

    def __init__(self, features: int, n_outputs: int = 0, init: HeadInit = "torch"):
        super().__init__()
        self.features, self.init = features, init
        self.layers = nn.ModuleList()
        self.grow(n_outputs)

    @property
    def sizes(self) -> list[int]:
        """Columns of each layer."""
        return [len(layer.weight) for layer in self.layers]  # type: ignore[arg-type]

    @property
    def n_outputs(self) -> int:
        return sum(self.sizes)

    def grow(self, n: int) -> None:
        """Adds a layer with the columns up to n, the others being fixed. Raises ValueError for fewer than there are."""
        added = n - self.n_outputs
        if added < 0:
            raise ValueError(f"a head of {self.n_outputs} columns cannot shrink to {n}")
        if added:
            self.layers.requires_grad_(False)
            self.layers.append(drawn(self.features, added, init=self.init))

    def forward(self, features: Tensor, task: int | Tensor | None = None) -> Tensor:
        if not self.layers:
            return features.new_empty(len(features), 0)
        return torch.cat([layer(features) for layer in self.layers], dim=1)
