"""Herding without values: its FLOPs and as many exemplars, without its loops over images and choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.cost.trend import Trends
from benchmarks.cost.valueless import META, Counted
from methods.core.batching import IMAGES_AT_ONCE
from methods.parts import exemplars
from scenarios import Examples

Features = Callable[[Examples], Tensor]


@contextmanager
def herding_at_once(counted: Counted, trends: Trends) -> Iterator[None]:
    """Inside, what chooses among images without values takes the first, and costs what herding does."""
    memory, herd = exemplars.ExemplarMemory, exemplars.herd
    update, updates = memory.update, Counter[int]()

    def quick_update(self: exemplars.ExemplarMemory, new: Examples, features: Features | None = None) -> None:
        updates[trends.task] += 1
        update(self, new, features and _of_batches(features, counted, trends, updates[trends.task]))

    def first(features: Tensor, m: int) -> Tensor:
        return _first(features, m) if features.is_meta else herd(features, m)

    memory.update, exemplars.herd = quick_update, first  # type: ignore[method-assign]
    try:
        yield
    finally:
        memory.update, exemplars.herd = update, herd  # type: ignore[method-assign]


def _of_batches(features: Features, counted: Counted, trends: Trends, update: int) -> Features:
    """`features` that looks at one whole batch, which stands for all, and at the last, smaller one; at neither where
    what they cost follows from the tasks before. update: which of its task's it is for."""

    def quick(examples: Examples) -> Tensor:
        whole, rest = divmod(len(examples), IMAGES_AT_ONCE)
        if not len(examples) or not examples.images.is_meta:
            return features(examples)
        shape: list[int] = []
        for n, times in ((IMAGES_AT_ONCE, whole), (rest, 1)):
            if n and times:
                flops, *shape = of_a_batch(examples, n)
                counted.total += times * flops
        return torch.empty(len(examples), *shape, device=META)

    def of_a_batch(examples: Examples, n: int) -> list[int]:
        """Of a batch of `n` the FLOPs, and the shape of what is found of an image."""
        key, before = ("features", update, n), counted.total
        told = trends.told(key)
        if told is None:
            found = features(examples[torch.arange(n)])
            told = counted.total - before, *found.shape[1:]
            counted.total = before
        trends.add(key, told)
        return list(map(int, told))

    return quick


def _first(features: Tensor, m: int) -> Tensor:
    """As many rows of `features` [n, d] as `herd` chooses."""
    n, d = features.shape
    chosen = min(m, n)
    features.new_empty(n, d) @ features.new_empty(d, chosen)  # it takes a product with a vector for each choice
    return torch.arange(chosen)
