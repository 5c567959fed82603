"""`make speed`: how fast features are extracted, as a share of a bare loop at its best batch size."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.cell.features import extract
from benchmarks.cell.timing import own_time
from models import model_settings
from scenarios.scenario import Normalise

BATCHES = {"cpu": (8, 16, 32, 64, 128), "cuda": (64, 128, 256, 512)}
LEAST = 0.95
IMAGENET = Normalise(255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@torch.no_grad()
def bare_loop(
    backbone: nn.Module, images: Tensor, size: int, device: torch.device, layout: torch.memory_format
) -> None:
    """Images uint8 [N, C, H, W] through the backbone, `size` at a time, and nothing else."""
    for batch in images.split(size):
        x = batch.to(device).float().div_(255).contiguous(memory_format=layout)
        backbone(x).cpu()


def extraction_shares(backbone: nn.Module, images: Tensor, device: str, pairs: int) -> tuple[int, list[float]]:
    """The bare loop's best batch size, and in each of `pairs` pairs its seconds at that size over those of `extract`.

    The bare loop tries both memory orders at every size.
    """
    place = torch.device(device)
    backbone = backbone.to(place).eval()
    took: dict[tuple[int, torch.memory_format], float] = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        ordered = backbone.to(memory_format=layout)
        for size in BATCHES[place.type]:
            part = images[: max(size, len(images) // 4)]
            bare_loop(ordered, part[:size], size, place, layout)  # pays for what comes only once
            took[size, layout] = _seconds(lambda: bare_loop(ordered, part, size, place, layout), device) / len(part)  # noqa: B023
    (size, layout) = min(took, key=lambda choice: took[choice])
    shares = []
    for _ in range(pairs):
        ordered = backbone.to(memory_format=layout)
        bare = _seconds(lambda: bare_loop(ordered, images, size, place, layout), device)  # noqa: B023
        shares.append(bare / _seconds(lambda: extract(backbone, images, IMAGENET, place, "fp32"), device))
    return size, shares


def _seconds(run: Callable[[], object], device: str) -> float:
    start = own_time(device)
    run()
    return own_time(device) - start


def report_features(device: str, backbone: str, side: int, images: int, pairs: int = 5) -> None:
    """Prints it for a network of random weights on random CIFAR-sized images."""
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    network = model_settings({"backbone": backbone, "image_size": side, "frozen": True}).build((3, 32, 32))
    size, shares = extraction_shares(network, pixels, device, pairs)
    median = statistics.median(shares)
    print(
        f"features of {backbone} at {side} pixels, {device}: {median:.3f} of a bare loop at its best batch of {size} "
        f"({min(shares):.3f} to {max(shares):.3f}; target at least {LEAST}: {'met' if median >= LEAST else 'missed'})"
    )
