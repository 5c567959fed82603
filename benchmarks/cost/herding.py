"""Herding without values: its FLOPs and as many exemplars, without its loops over images and choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.cost.valueless import Counted
from methods.core.batching import IMAGES_AT_ONCE
from methods.parts import exemplars
from scenarios import Examples

Features = Callable[[Examples], Tensor]


@contextmanager
def herding_at_once(counted: Counted) -> Iterator[None]:
    """Inside, what chooses among images without values takes the first, and costs what herding does."""
    memory, herd = exemplars.ExemplarMemory, exemplars.herd
    update = memory.update

    def quick_update(self: exemplars.ExemplarMemory, new: Examples, features: Features | None = None) -> None:
        update(self, new, features and _of_two_batches(features, counted))

    def first(features: Tensor, m: int) -> Tensor:
        return _first(features, m) if features.is_meta else herd(features, m)

    memory.update, exemplars.herd = quick_update, first  # type: ignore[method-assign]
    try:
        yield
    finally:
        memory.update, exemplars.herd = update, herd  # type: ignore[method-assign]


def _of_two_batches(features: Features, counted: Counted) -> Features:
    """`features` that looks at one whole batch, which stands for all, and at the last, smaller one."""

    def quick(examples: Examples) -> Tensor:
        whole, rest = divmod(len(examples), IMAGES_AT_ONCE)
        if whole < 2 or not examples.images.is_meta:
            return features(examples)
        before = counted.total
        found = features(examples[torch.arange(IMAGES_AT_ONCE)])
        counted.total += (whole - 1) * (counted.total - before)
        if rest:
            features(examples[torch.arange(rest)])
        return found.new_empty(len(examples), *found.shape[1:])

    return quick


def _first(features: Tensor, m: int) -> Tensor:
    """As many rows of `features` [n, d] as `herd` chooses."""
    n, d = features.shape
    chosen = min(m, n)
    features.new_empty(n, d) @ features.new_empty(d, chosen)  # it takes a product with a vector for each choice
    return torch.arange(chosen)
