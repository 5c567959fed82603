"""Labelled images in memory: what tasks hold, buffers store and batches are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """N images with their labels and the tasks that they came from.

    images: uint8 [N, C, H, W], as stored, not normalised; labels: int64 [N], columns of the output layer;
    tasks: int64 [N], task ids, or one int where all came from the same task.
    """

    images: Tensor
    labels: Tensor
    tasks: Tensor | int

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor) -> Examples:
        """The examples at `rows` (int64 [n]); copies."""
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
        """Bytes needed to store the images and labels (labels counted as 8 bytes)."""
        return self.images.numel() * self.images.element_size() + 8 * len(self)

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
            torch.cat([p.images for p in parts]),
            torch.cat([p.labels for p in parts]),
            torch.cat([p.task_ids for p in parts]),
        )
