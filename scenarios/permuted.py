"""Permuted: every task sees all classes, its pixels shuffled by a permutation of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from scenarios.dataset import Dataset
from scenarios.seeding import generator_for
from scenarios.stream import Stream, checksum_of


@dataclass(frozen=True)
class Permutation:
    """Moves pixel order[k] of each image (all channels alike) to place k."""

    order: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        pixels = images.flatten(2)
        # gather: on uint8 rows 2 to 3 times as fast as index_select
        return pixels.gather(2, self.order.expand_as(pixels)).view_as(images)


class Permuted(Stream):
    """Permuted MNIST (Goodfellow et al. 2013; Kirkpatrick et al. 2017): permutations drawn per seed."""

    stream: Literal["permuted"] = "permuted"
    first_task_plain: bool = Field(False, description="leave the first task's pixels in place")

    def make_tasks(self, dataset: Dataset, seed: int):
        side = [n + 2 * self.padding for n in dataset.train_images.shape[2:]]
        orders = [
            torch.randperm(side[0] * side[1], generator=generator_for(seed, "permutation", t))
            for t in range(self.tasks)
        ]
        maps: list = [Permutation(order) for order in orders]
        if self.first_task_plain:
            maps[0] = None
        classes = [tuple(range(dataset.n_classes))] * self.tasks
        return classes, maps, {"permutations": ["plain" if m is None else checksum_of(m.order) for m in maps]}
