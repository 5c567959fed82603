"""How fast a device trains: the harness's loop against a plain one, and against what the device can multiply."""

from __future__ import annotations

import statistics

import torch
import torch.nn.functional as F

from benchmarks.cell.environment import peak_memory_bytes, reset_peak_memory
from benchmarks.cell.fit import Trainer, fit
from benchmarks.cell.run import task_view
from benchmarks.cell.timing import now
from methods import Method, OptimizerSettings, Recipe, method_class
from methods.core.precision import autocast
from models import model_settings
from scenarios import Examples, Scenario, Split
from scenarios.dataset import Dataset

SLOWEST = 1.25
"""Seconds of the harness to those of a plain loop, at most."""


def throughput(subject: str, device: str, quick: bool) -> tuple[str, dict[str, float]]:
    """Of a ResNet-18 on noise of CIFAR-100's size: (what was found, images a second, ratios, share of the peak)."""
    card = device.startswith("cuda")
    batch, steps, pairs = (256, 40, 3) if card and not quick else (32, 4, 3)
    model = model_settings({"backbone": "resnet18", "width": 1.0 if card else 0.125})
    recipe = Recipe(
        epochs=None,
        steps=steps,
        batch_size=batch,
        drop_last=True,
        optimizer=OptimizerSettings(lr=0.01, momentum=0.9),
        precision="bf16" if card else "fp32",
        channels_last=card,
    )
    scenario = _noise(batch * steps)
    reset_peak_memory(device)
    ratios, seconds, flops = [], [], 0
    for _ in range(pairs):
        method = method_class("finetune").from_settings({}).start(scenario, model, recipe, 0, device)
        method.enter(task_view(scenario, scenario.tasks[0], False, method.device))
        data = method.task.train
        trainer = Trainer()
        fit(method, method.phase(data, steps=2), trainer)  # pays for what comes only once, the count of FLOPs with it
        plain = _plain(method, data, batch, steps)
        start, before = now(device), trainer.meter.total
        fit(method, method.phase(data), trainer)
        seconds.append(now(device) - start)
        flops = trainer.meter.total - before
        ratios.append(seconds[-1] / plain)
    ratio, took = statistics.median(ratios), statistics.median(seconds)
    peak = matmul_peak(device, torch.bfloat16 if card else torch.float32, 8192 if card else 1024)
    figures = {
        "images_per_second": batch * steps / took,
        "ratio_to_plain_loop": ratio,
        "flops_per_second": flops / took,
        "peak_flops_per_second": peak,
        "share_of_peak": flops / took / peak,
        "peak_bytes": float(peak_memory_bytes(device) or 0),
    }
    said = (
        f"{figures['images_per_second']:,.0f} images/s, {ratio:.2f} times a plain loop's time, "
        f"{figures['share_of_peak']:.0%} of {peak / 1e12:.3g} TFLOP/s"
    )
    if ratio > SLOWEST:
        raise RuntimeError(f"{said}; at most {SLOWEST} times was asked")
    return said, figures


def matmul_peak(device: str, dtype: torch.dtype, n: int) -> float:
    """FLOPs a second of square products of n rows, the best of several: what the device can do, not what it is sold as."""
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    a @ b
    times = []
    for _ in range(5):
        start = now(device)
        a @ b
        times.append(now(device) - start)
    return 2 * n**3 / min(times)


def _plain(method: Method, data: Examples, batch: int, steps: int) -> float:
    """Seconds of the same steps as one would write them by hand, on the method's own network."""
    network, images = method.network, method.normalise(data.images)
    if method.memory_format == "channels last":
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = OptimizerSettings(lr=0.01, momentum=0.9).build(network.parameters())
    rows = torch.randperm(len(data), device=method.device).split(batch)[:steps]
    start = now(str(method.device))
    for part in rows:
        with autocast(method.mixed_precision, method.device):
            logits = network(images[part])
        loss = F.cross_entropy(logits.float(), data.labels[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return now(str(method.device)) - start


def _noise(n: int) -> Scenario:
    """n images of CIFAR-100's size, for the time that they take alone."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(n) % 100
    noise = Dataset("noise", images, labels, images[:100], labels[:100], 255.0, (0.5,) * 3, (0.25,) * 3)
    return Split(data="digits", setting="class", tasks=1).of(noise)
