"""Where a run took place: commit, versions, hardware, memory."""

from __future__ import annotations

import os
import platform
import resource
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks import __version__
from benchmarks.request.repository import commit, repository


@lru_cache
def environment(device: str) -> dict[str, Any]:
    """Versions, hardware, instruction set, thread count and commit, for the record."""
    packages = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")
    versions = {"python": platform.python_version()}
    if repository(Path(__file__)) is None:  # a commit says more
        versions["retain"] = __version__
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "commit": commit(),
        "versions": versions,
        "system": f"{platform.system()} {platform.machine()}",
        "hardware": hardware(device),
        "device": device.split(":")[0],
        "threads": torch.get_num_threads(),
        # of torch's own kernels; processors of one name may differ in it, and results with it
        "instructions": torch.backends.cpu.get_cpu_capability(),
        **(_cuda() if device.startswith("cuda") else {}),
    }


def _cuda() -> dict[str, Any]:
    """What a CUDA device's numbers depend on beside its name: versions, and what is allowed to round."""
    return {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": driver(),
        "tf32": {"matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32},
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


def driver() -> str | None:
    """The version of the NVIDIA driver, as its kernel module says; None where there is none to be read."""
    try:
        first = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    return next((word for word in first.split() if word.replace(".", "").isdigit() and "." in word), first)


def hardware(device: str) -> str:
    """The accelerator's name, or the processor's with its core count."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    if device.startswith("mps"):
        return f"{platform.processor() or platform.machine()} GPU (Metal)"
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def reset_peak_memory(device: str) -> None:
    """Starts measuring the peak anew, where the system can."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return
    if device.startswith("mps"):
        torch.mps.empty_cache()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_memory_bytes(device: str) -> int | None:
    """Peak device memory (CUDA), or peak resident memory of this process since `reset_peak_memory`."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    if device.startswith("mps"):
        return torch.mps.driver_allocated_memory()  # what the cell has had reserved: Metal tells no peak
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
