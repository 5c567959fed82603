"""Whether a network may run with its images in channels-last memory order."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache

import torch
from torch import nn

FEWEST = 8
"""Input channels of a strided 1x1 convolution below which torch 2.15 writes past its memory on processors without
AVX-512, in the backward pass and channels last: the process is aborted, or ends anywhere later."""
PROBE_SECONDS = 300
Convolution = tuple[tuple[str, int | tuple[int, ...]], ...]
"""The arguments of a torch.nn.Conv2d."""


def why_contiguous(network: nn.Module, device: torch.device) -> str | None:
    """Why `network` must keep the contiguous order on `device`; None where channels last is safe.

    On a processor no strided 1x1 convolution may have fewer than 8 input channels, and a child process must come
    through a training step of each of the network's convolutions with the right gradients.
    """
    if device.type != "cpu":
        return None
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for c in convolutions:
        inputs = c.in_channels // c.groups
        if c.kernel_size == (1, 1) and c.stride != (1, 1) and inputs < FEWEST:
            return f"a 1x1 convolution with stride {c.stride[0]} has {inputs} input channels, fewer than {FEWEST}"
    return _fault(tuple(sorted({_arguments(c) for c in convolutions}))) if convolutions else None


def _arguments(c: nn.Conv2d) -> Convolution:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
    return tuple((name, getattr(c, name)) for name in names)


@lru_cache(maxsize=64)
def _fault(convolutions: tuple[Convolution, ...]) -> str | None:
    """What a child process does that trains `convolutions`, where it is not what it should be."""
    command = [sys.executable, "-c", _PROBE, json.dumps([dict(c) for c in convolutions])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return f"a process that tried its convolutions did not end in {PROBE_SECONDS} s"
    if done.returncode < 0:
        return f"a process that tried its convolutions was ended by signal {-done.returncode}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"a process that tried its convolutions failed: {last}"
    return None


_PROBE = """
import json, sys, torch
torch.set_num_threads(1)
for arguments in json.loads(sys.argv[1]):
    reach = max(d * (k - 1) + 1 for d, k in zip(arguments["dilation"], arguments["kernel_size"]))
    plain = torch.nn.Conv2d(**arguments, bias=False)
    images = torch.randn(4, arguments["in_channels"], reach + 7, reach + 7)
    for _ in range(3):
        gradients = []
        for order in (torch.contiguous_format, torch.channels_last):
            convolution = torch.nn.Conv2d(**arguments, bias=False)
            convolution.load_state_dict(plain.state_dict())
            convolution.to(memory_format=order)
            x = images.detach().clone(memory_format=order).requires_grad_()
            convolution(x).square().sum().backward()
            gradients.append((x.grad, convolution.weight.grad))
        for a, b in zip(*gradients):
            if not (a - b).abs().max() <= 1e-3 * a.abs().max():
                sys.exit(f"wrong gradients of {arguments}")
"""
