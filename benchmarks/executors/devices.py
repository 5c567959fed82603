"""What cells run on."""

from __future__ import annotations

import math
import os

from benchmarks.request.errors import SettingsError


def devices_for(workers: int | None, gpus: list[str] | None) -> list[str]:
    """One entry a worker: the GPUs named, else as many CPU processes as there are cores.

    Raises SettingsError where `gpus` names none, or one that this machine does not have, and where `workers` cannot be
    shared out among them.
    """
    if gpus is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return ["cpu"] * (workers or cores)
    if not gpus:
        raise SettingsError(["--gpus names none: give their numbers, e.g. 0,1, or leave it out to run on processors"])
    import torch  # only where a GPU is named: it takes a second

    count = torch.cuda.device_count()
    bad = [g for g in gpus if not g.isdecimal() or int(g) >= count]
    problems = []
    if bad:
        problems.append(f"--gpus {','.join(gpus)}: no CUDA device {', '.join(bad)}; this machine has {count}")
    if workers is not None and workers % len(gpus):
        problems.append(
            f"--workers {workers}: every one of {len(gpus)} GPUs has as many: say a multiple of {len(gpus)}"
        )
    if problems:
        raise SettingsError(problems)
    return [f"cuda:{g}" for g in gpus for _ in range((workers or len(gpus)) // len(gpus))]


def cells_per_gpu(share: float) -> int:
    """How many cells of which each gets `share` of a GPU, at most a whole one, run on it at a time."""
    return math.floor(1 / share + 1e-9)  # 1 // 0.1 is 9
