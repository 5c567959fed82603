"""What cells run on."""

from __future__ import annotations

import os

from benchmarks.request.errors import SettingsError


def devices_for(workers: int | None, gpus: list[str] | None) -> list[str]:
    """One entry a worker: the GPUs named, else as many CPU processes as there are cores.

    Raises SettingsError where `gpus` names none, or one that this machine does not have.
    """
    if gpus is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return ["cpu"] * (workers or cores)
    if not gpus:
        raise SettingsError(["--gpus names none: give their numbers, e.g. 0,1, or leave it out to run on processors"])
    import torch  # only where a GPU is named: it takes a second

    count = torch.cuda.device_count()
    bad = [g for g in gpus if not g.isdecimal() or int(g) >= count]
    if bad:
        raise SettingsError([f"--gpus {','.join(gpus)}: no CUDA device {', '.join(bad)}; this machine has {count}"])
    return [f"cuda:{g}" for g in gpus for _ in range(max(1, (workers or len(gpus)) // len(gpus)))]
