"""Which library multiplies float32 matrices on a processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

import torch

Library = Literal["oneDNN", "BLAS"]

EXACT = 1e-5
"""Largest error of a float32 product, as a share of its largest entry; products of bfloat16 err by more than 1e-3."""


@contextmanager
def fast_products(device: str) -> Iterator[Library]:
    """Within it, torch multiplies float32 matrices on `device` by the faster of its libraries, and just as exactly.

    The BLAS in torch's x86 builds takes its AVX2 kernels on AMD processors; oneDNN, also in them, takes AVX-512 (here
    2.2 times as fast). torch leaves float32 products to oneDNN only where it may round them to bfloat16, which oneDNN
    does on processors with matrix tiles (AMX) and on no other x86: there, and wherever a product proves inexact, all
    stays with the BLAS. Other devices have a BLAS of their own. Yields the library chosen.
    """
    if device != "cpu" or not onednn_is_exact():
        yield "BLAS"
        return
    with _left_to_onednn():
        yield "oneDNN"


@lru_cache
def onednn_is_exact() -> bool:
    """Whether oneDNN, allowed to round, still multiplies in float32 here, and has AVX-512 to do so."""
    if not torch.backends.mkldnn.is_available() or not torch.cpu._is_avx512_supported():
        return False
    if torch.cpu._is_amx_tile_supported():
        return False
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(128, 784, generator=generator), torch.randn(784, 256, generator=generator)
    exact = a.double() @ b.double()
    with _left_to_onednn():
        error = (a @ b - exact).abs().max() / exact.abs().max()
    return error.item() < EXACT


@contextmanager
def _left_to_onednn() -> Iterator[None]:
    products = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # a module's property
    before = products.fp32_precision
    products.fp32_precision = "bf16"
    try:
        yield
    finally:
        products.fp32_precision = before
