"""A backbone that is not trained, and one that gets its images at another size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Frozen(nn.Module):
    """`backbone` as at test, whatever mode it is put in: no gradients, no batch statistics, no drop-out, nothing updated.

    forward: float [N, C, H, W] -> [N, features].
    """

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.features = int(backbone.features)  # type: ignore[arg-type]  # every backbone has it
        self.train(False)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.backbone(x)


class Resized(nn.Module):
    """`backbone` of square images of `side` pixels, whatever the size of those that come; made smaller with antialiasing.

    low, high: normalised black and white of each channel; cubic interpolation goes beyond them, images do not.
    """

    low: Tensor
    high: Tensor

    def __init__(self, backbone: nn.Module, side: int, interpolation: str, low: list[float], high: list[float]):
        super().__init__()
        self.backbone = backbone
        self.features = int(backbone.features)  # type: ignore[arg-type]
        self.side, self.interpolation = side, interpolation
        for name, values in (("low", low), ("high", high)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (self.side, self.side):
            size = (self.side, self.side)
            x = F.interpolate(x, size, mode=self.interpolation, antialias=True, align_corners=False)
            x = torch.minimum(torch.maximum(x, self.low.to(x.dtype)), self.high.to(x.dtype))
        return self.backbone(x)
