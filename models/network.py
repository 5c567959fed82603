"""A backbone with a head."""

from __future__ import annotations

from torch import Tensor, nn

from models.heads import LinearHead, MultiHead


class Network(nn.Module):
    """logits = head(backbone(x)). x float [N, C, H, W] -> logits [N, columns]."""

    def __init__(self, backbone: nn.Module, head: LinearHead | MultiHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor, task: int | Tensor | None = None) -> Tensor:
        return self.head(self.backbone(x), task)

    def expand(self, n_outputs: int) -> None:
        """Makes room for n_outputs columns; what exists keeps its values."""
        self.head.grow(n_outputs)
