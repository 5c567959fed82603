"""Time on a device."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def now(device: str | torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of `clock`, once an accelerator has done what it was given."""
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock()


def own_time(device: str | torch.device) -> float:
    """Seconds by the clock that other programs on the machine disturb least: on a processor this process's own time."""
    return now(device, time.process_time if torch.device(device).type == "cpu" else time.perf_counter)
