"""Mixed precision of forward passes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(wanted: Literal["fp32", "bf16", "fp16", "auto"], device: torch.device) -> Precision:
    """`wanted`; "auto" is bf16 where the device multiplies bf16 in hardware, which is faster there, else fp32."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
    return "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """Forward passes under torch's automatic mixed precision, or in fp32 as they are."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, DTYPES[precision])


def gradient_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler | None:
    """fp16 gradients underflow unless the loss is scaled; the other formats need nothing."""
    return torch.amp.GradScaler(device.type) if precision == "fp16" else None
