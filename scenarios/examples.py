"""Labelled images, in memory or as files: what tasks hold, buffers store and batches are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scenarios.image_files import ImageFiles, Images


@dataclass(frozen=True)
class Examples:
    """N images with their labels and the tasks that they came from.

    images: uint8 [N, C, H, W], as stored, not normalised, or the files that hold them; labels: int64 [N], columns of the output layer;
    tasks: int64 [N], task ids, or one int where all came from the same task.
    """

    images: Images
    labels: Tensor
    tasks: Tensor | int

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor) -> Examples:
        """The examples at `rows` (int64 [n], on any device); copies."""
        rows = rows.to(self.labels.device, non_blocking=rows.device.type == "cpu")
        tasks = self.tasks if isinstance(self.tasks, int) else self.tasks.index_select(0, rows)
        return Examples(self.images.index_select(0, rows), self.labels.index_select(0, rows), tasks)

    @property
    def task_ids(self) -> Tensor:
        """Task ids as int64 [N], also where all examples share one."""
        if isinstance(self.tasks, int):
            return torch.full_like(self.labels, self.tasks)
        return self.tasks

    @property
    def nbytes(self) -> int:
        """Bytes needed to store the images (of their files, where they are files) and labels (8 bytes each)."""
        return self.images.nbytes + 8 * len(self)

    def to(self, device: torch.device) -> Examples:
        tasks = self.tasks if isinstance(self.tasks, int) else self.tasks.to(device)
        return Examples(self.images.to(device), self.labels.to(device), tasks)

    @staticmethod
    def concatenate(parts: Sequence[Examples]) -> Examples:
        """All examples of `parts`, in order. Raises ValueError where there are none."""
        if not parts:
            raise ValueError("no examples to concatenate")
        if len(parts) == 1:
            return parts[0]
        return Examples(
            concatenate_images([p.images for p in parts]),
            torch.cat([p.labels for p in parts]),
            torch.cat([p.task_ids for p in parts]),
        )


def concatenate_images(parts: Sequence[Images]) -> Images:
    """All images of `parts`, in order. Raises TypeError where some are in memory and others in files."""
    files = [p for p in parts if isinstance(p, ImageFiles)]
    if len(files) == len(parts):
        return ImageFiles.concatenate(files)
    if files:
        raise TypeError("images in memory and images in files cannot be concatenated; decode the files first")
    return torch.cat([p for p in parts if isinstance(p, Tensor)])
