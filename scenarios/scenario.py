"""A scenario: an immutable sequence of tasks with one setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from scenarios.examples import Examples
from scenarios.image_files import FileList, ImageFiles, Images
from scenarios.setting import OutputLayout

PixelMap = Callable[[Tensor], Tensor]
"""uint8 [N, C, H, W] -> uint8 [N, C, H, W]: what a task does to its images."""


@dataclass(frozen=True)
class Subset:
    """Rows of a data set as one task sees them; the pixels stay in the one shared copy until asked for."""

    images: Images = field(repr=False)
    rows: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    task: int
    pixel_map: PixelMap | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def examples(self) -> Examples:
        """The images, selected and transformed now: a fresh copy in memory for as long as it is held."""
        images = self.images.index_select(0, self.rows)
        if isinstance(images, Tensor) and self.pixel_map is not None:
            images = self.pixel_map(images)
        return Examples(images, self.labels, self.task)

    @cached_property
    def kept(self) -> Examples:
        """`examples()` that stays in memory: for test sets, which are read after every task."""
        return self.examples()

    def kept_on(self, device: torch.device) -> Examples:
        """`kept` on `device`, where it stays too."""
        if self.kept.images.device == device:
            return self.kept
        copies = self.__dict__.setdefault("_copies", {})
        if device not in copies:
            copies[device] = self.kept.to(device)
        return copies[device]


@dataclass(frozen=True)
class Task:
    """One task: `id` from 0, `classes` of the data set in column order, `outputs` its columns."""

    id: int
    classes: tuple[int, ...]
    outputs: slice
    train: Subset
    test: Subset


@dataclass(frozen=True)
class Normalise:
    """uint8 images -> float32: pixel / scale, then (x - mean) / std per channel. Files are decoded as for a test."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Images) -> Tensor:
        """images uint8 [N, C, H, W] -> float32 of the same shape."""
        if isinstance(images, ImageFiles):
            images = images.decode()
        if len(self.mean) == 1:
            x = images.to(torch.float32, copy=True)
            return x.mul_(1 / (self.scale * self.std[0])).sub_(self.mean[0] / self.std[0])
        std, mean = (_channels(values, images.device) for values in (self.std, self.mean))
        return images.to(torch.float32, copy=True).mul_(1 / (self.scale * std)).sub_(mean / std)

    def pixels(self, x: Tensor) -> Tensor:
        """The inverse but for the scale: normalised x [N, C, H, W] -> pixels in [0, 1]."""
        std = torch.tensor(self.std, device=x.device).view(1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=x.device).view(1, -1, 1, 1)
        return x * std + mean


@lru_cache(maxsize=64)
def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """float32 [1, C, 1, 1], kept: copying it anew for every batch would make the host wait for a GPU."""
    return torch.tensor(values, device=device).view(1, -1, 1, 1)


@dataclass(frozen=True)
class Scenario:
    """A data stream plus a setting. `manifest` says how it was made and goes into the record."""

    name: str
    tasks: tuple[Task, ...]
    layout: OutputLayout
    image_shape: tuple[int, int, int]
    normalise: Normalise
    manifest: dict[str, Any] = field(repr=False)
    version: int = 1
    eval_every: int = 1

    def is_evaluated(self, tasks: int) -> bool:
        """Whether methods are evaluated after so many tasks."""
        return tasks % self.eval_every == 0 or tasks == len(self.tasks)

    @property
    def image_files(self) -> tuple[FileList, ...]:
        """The lists of files that its images are in; none where they are in memory."""
        images = [subset.images for task in self.tasks for subset in (task.train, task.test)]
        return tuple({id(i.files): i.files for i in images if isinstance(i, ImageFiles)}.values())
