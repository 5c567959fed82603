"""An MLP whose hidden units are switched off task by task (Masse, Grant & Freedman 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.full_precision import full_precision, widened
from models.heads import LinearHead, MultiHead
from models.mlp import MLP


class GatedNetwork(nn.Module):
    """logits = head(backbone(x)) with each hidden layer's activation multiplied by its task's gate.

    gates: one [tasks, units] of zeros and ones for every hidden layer of `backbone`. They are buffers, not parameters.
    """

    def __init__(self, backbone: MLP, head: LinearHead | MultiHead, gates: list[Tensor]):
        super().__init__()
        self.backbone, self.head = backbone, head
        for i, gate in enumerate(gates):
            self.register_buffer(f"gates_{i}", gate)

    def forward(self, x: Tensor, task: int | Tensor) -> Tensor:
        """x float [N, C, H, W], task one id or ids [N] -> logits [N, columns]."""
        h = x.flatten(1)
        for i, layer in enumerate(self.backbone.layers):
            h = torch.relu(layer(h)) * self.gates(i)[task]
        with full_precision(h):
            return self.head(widened(h), task)

    def gates(self, layer: int) -> Tensor:
        """The gates [tasks, units] of hidden layer `layer`."""
        return getattr(self, f"gates_{layer}")
