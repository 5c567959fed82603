"""A backbone with a head."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from models.full_precision import full_precision, widened


class Network(nn.Module):
    """logits = head(backbone(x)). x float [N, C, H, W] -> logits float32 [N, columns], under autocast too."""

    head: Any
    """One of models/heads.py or models/cosine_heads.py: a module with `n_outputs` and `grow`."""

    def __init__(self, backbone: nn.Module, head: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor, task: int | Tensor | None = None) -> Tensor:
        return self.classify(self.backbone(x), task)

    def classify(self, features: Tensor, task: int | Tensor | None = None) -> Tensor:
        """Features [N, d] -> logits float32 [N, columns], under autocast too."""
        with full_precision(features):
            return self.head(widened(features), task)

    def expand(self, n_outputs: int) -> None:
        """Makes room for n_outputs columns; what exists keeps its values."""
        self.head.grow(n_outputs)
