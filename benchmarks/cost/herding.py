"""Herding without values: its FLOPs and as many exemplars, without its loop over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from methods.parts import exemplars


@contextmanager
def herding_at_once() -> Iterator[None]:
    """Inside, `herd` chooses the first rows of features without values, in one product of as many FLOPs as its own."""
    herd = exemplars.herd

    def first(features: Tensor, m: int) -> Tensor:
        if not features.is_meta:
            return herd(features, m)
        n, d = features.shape
        chosen = min(m, n)
        features.new_empty(n, d) @ features.new_empty(d, chosen)  # a product with a vector for each choice
        return torch.arange(chosen)

    exemplars.herd = first
    try:
        yield
    finally:
        exemplars.herd = herd
