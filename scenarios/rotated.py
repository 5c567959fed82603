"""Rotated: every task sees all classes, its images turned by one angle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from scenarios.dataset import Dataset
from scenarios.seeding import generator_for
from scenarios.stream import Stream


@dataclass(frozen=True)
class Rotation:
    """Turns images by `degrees` counter-clockwise about their centre, bilinear, corners filled with 0."""

    degrees: float

    def __call__(self, images: Tensor) -> Tensor:
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2.functional import rotate

        # in pieces: the float copies of 60,000 images at once would need ten times the memory of the images
        return torch.cat([rotate(part, self.degrees, InterpolationMode.BILINEAR) for part in images.split(5000)])


class Rotated(Stream):
    """Rotated MNIST (Lopez-Paz & Ranzato 2017)."""

    stream: Literal["rotated"] = "rotated"
    angles: Literal["even", "drawn", "binned"] = Field(
        "even",
        description='"even": t * max_angle / tasks; "drawn": uniform in [0, max_angle) per seed; '
        '"binned": one draw in each of `tasks` equal parts of it, growing (Lopez-Paz & Ranzato)',
    )
    max_angle: float = Field(180.0, gt=0, le=360, description="degrees")

    def make_tasks(self, dataset: Dataset, seed: int):
        draws = torch.rand(self.tasks, generator=generator_for(seed, "angles"), dtype=torch.float64)
        bins = torch.arange(self.tasks, dtype=torch.float64)
        fraction = {"even": bins / self.tasks, "drawn": draws, "binned": (bins + draws) / self.tasks}[self.angles]
        degrees = [round(float(a), 6) for a in fraction * self.max_angle]
        maps = [Rotation(a) if a else None for a in degrees]
        return [tuple(range(dataset.n_classes))] * self.tasks, maps, {"angles": degrees}
