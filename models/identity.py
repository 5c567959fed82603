"""No backbone: a head on the images' values as they are, or on features that were computed before."""

from __future__ import annotations

import math

from torch import Tensor, nn

from models.settings import FeatureSettings


class Identity(nn.Module):
    """forward: [N, C, H, W] -> float [N, C * H * W]."""

    def __init__(self, features: int):
        super().__init__()
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class IdentitySettings(FeatureSettings):
    """identity: none, the head stands on the pixels."""

    def build(self, image_shape: tuple[int, int, int]) -> Identity:
        return Identity(math.prod(image_shape))
