"""A backbone with a head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """logits = head(backbone(x)). x float [N, C, H, W] -> logits float32 [N, columns], under autocast too."""

    head: Any
    """One of models/heads.py or models/cosine_heads.py: a module with `n_outputs` and `grow`."""

    def __init__(self, backbone: nn.Module, head: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor, task: int | Tensor | None = None) -> Tensor:
        features = self.backbone(x)
        device = features.device.type
        if not torch.is_autocast_enabled(device):
            return self.head(features, task)
        # three digits of a logit are too few to rank a hundred classes by
        with torch.autocast(device, enabled=False):
            return self.head(features.float(), task)

    def expand(self, n_outputs: int) -> None:
        """Makes room for n_outputs columns; what exists keeps its values."""
        self.head.grow(n_outputs)
