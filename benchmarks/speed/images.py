"""`make speed`, second half: what real, augmented images cost over a network fed with the same random tensors.

Both are the harness's own loop and step. One reads CIFAR-100 from the device's memory and augments it; the other
gets one fixed batch again and again, which is as fast as that network can train.
"""

from __future__ import annotations

import statistics

import torch

from benchmarks.cell.fit import Trainer, fit
from benchmarks.cell.run import task_view
from benchmarks.cell.timing import now
from methods import Batch, Finetune, OptimizerSettings, Recipe
from methods.core.augmentation import preset
from models import ModelSettings, ResNetSettings
from scenarios import DataNotFound, Examples, Scenario, Split

IMAGE_TARGET = 1.10


class FixedTensors(Finetune):
    """finetune on one batch of random numbers made once, whatever it is asked for."""

    about = "measures a loop without data"

    def batch(
        self, examples: Examples, epoch: int = 0, pixels: torch.Tensor | None = None, replayed: bool = True
    ) -> Batch:
        fixed = self.__dict__.setdefault("_fixed", {})
        n = len(examples)
        if n not in fixed:
            fixed[n] = super().batch(examples, epoch, examples.images)
            fixed[n].x = torch.randn_like(fixed[n].x)
        return fixed[n]


def seconds_of(
    method_class: type[Finetune], scenario: Scenario, recipe: Recipe, model: ModelSettings, device: str, warmup: int
) -> float:
    """Wall seconds of a phase of `recipe` on the first task, after a few steps that pay for what comes only once."""
    method = method_class.from_settings({}).start(scenario, model, recipe, 0, device)
    task = task_view(scenario, scenario.tasks[0], False)
    method.enter(task)
    trainer = Trainer()
    data = task.train.to(method.device)
    fit(method, method.phase(data, steps=warmup), trainer)
    start = now(device)
    fit(method, method.phase(data), trainer)
    return now(device) - start


def image_ratios(
    scenario: Scenario, recipe: Recipe, model: ModelSettings, device: str, pairs: int, warmup: int = 3
) -> list[float]:
    """Augmented images / fixed tensors, a ratio for each of `pairs` runs of both in turn."""
    plain = recipe.model_copy(update={"augmentation": ()})
    ratios = []
    for _ in range(pairs):
        fixed = seconds_of(FixedTensors, scenario, plain, model, device, warmup)
        ratios.append(seconds_of(Finetune, scenario, recipe, model, device, warmup) / fixed)
    return ratios


def report_images(device: str, steps: int, pairs: int, warmup: int) -> None:
    """Prints the ratios of ResNet-18 on CIFAR-100 with DyTox's augmentation (crop, flip, RandAugment), batch 128."""
    try:
        scenario = Split(data="cifar100", setting="class", tasks=1).build(0)
    except DataNotFound as error:
        print(f"images on {device}: not measured, {error}")
        return
    recipe = Recipe(
        epochs=None,
        steps=steps,
        batch_size=128,
        drop_last=True,
        optimizer=OptimizerSettings(lr=0.1, momentum=0.9, weight_decay=5e-4),
        augmentation=preset("dytox"),
        precision="auto",
        channels_last=True,
    )
    print(f"ResNet-18 on CIFAR-100, {device}, {steps} steps: augmented images against fixed random tensors")
    ratios = image_ratios(scenario, recipe, ResNetSettings(backbone="resnet18"), device, pairs, warmup)
    print("  ratios " + ", ".join(f"{ratio:.3f}" for ratio in ratios))
    median = statistics.median(ratios)
    verdict = "met" if median <= IMAGE_TARGET else "missed"
    print(f"median ratio {median:.3f} (target at most {IMAGE_TARGET}: {verdict})")
