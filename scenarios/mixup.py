"""Images and targets mixed in pairs."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Generator, Tensor

from scenarios.augment import Probability
from scenarios.pixel_operations import each, on_device_of


class Mixup(BaseModel):
    """Each image of a batch mixed with another one, and the targets with them (Zhang et al. 2018).

    The part kept is Beta(alpha, alpha), for the whole batch as in timm and DyTox+ (there with alpha 0.8), or each
    image's own. Mix after normalising.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    alpha: float = Field(0.8, gt=0, description="of the Beta distribution of the part kept")
    probability: Probability = Field(1.0, description="of a batch being mixed")
    per_image: bool = Field(False, description="a part for each image, or (timm, DyTox+) one for the batch")

    def __call__(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor] | None:
        """images float [N, C, H, W], targets float [N, classes], one-hot or soft -> both, mixed alike; None for a batch
        that the draw leaves as it is."""
        if self.probability < 1 and float(torch.rand((), generator=generator)) >= self.probability:
            return None
        n = len(images)
        # torch draws no Beta from a given generator; numpy does, from a seed that the generator gives.
        seed = int(torch.randint(2**63 - 1, (1,), generator=generator, device=generator.device))
        parts = np.random.default_rng(seed).beta(self.alpha, self.alpha, n if self.per_image else 1)
        kept = on_device_of(torch.from_numpy(parts.astype(np.float32)), images).expand(n)
        partner = on_device_of(torch.randperm(n, generator=generator, device=generator.device), images)
        images = images[partner].lerp(images, each(kept).to(images.dtype))
        return images, targets[partner].lerp(targets, kept.view(-1, 1).to(targets.dtype))
