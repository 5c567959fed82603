"""Augmentation as a recipe names it, and where a method's batches get it.

An operation is one of `scenarios.augment` with its settings, `{op: crop, padding: 4}`; a list is applied in order.
PRESETS are the lists of published recipes.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Discriminator, Tag
from torch import Tensor

from scenarios.augment import (
    AnyOperation,
    Augment,
    AutoAugment,
    ColorJitter,
    Cutout,
    Flip,
    Operation,
    RandAugment,
    RandomCrop,
)
from scenarios.mixup import Mixup
from scenarios.nearest import nearest
from scenarios.seeding import generator_for

Operations = Annotated[
    Annotated[str, Tag("preset")] | Annotated[tuple[AnyOperation, ...], Tag("operations")],
    Discriminator(lambda value: "preset" if isinstance(value, str) else "operations"),
]
"""What a recipe may say: a list of operations, or the name of a preset."""

_BASIC = (RandomCrop(), Flip())
_JITTER = ColorJitter(brightness=63 / 255)
PRESETS: dict[str, tuple[Operation, ...]] = {
    "none": (),
    "cifar": _BASIC,
    # DER and PyCIL
    "cifar-jitter": (*_BASIC, _JITTER),
    # FOSTER's own code for CIFAR-100; its zeros of Cutout come before normalising
    "cifar-autoaugment": (*_BASIC, _JITTER, AutoAugment(), Cutout()),
    # DyTox and DNE: timm's create_transform, which fills with ImageNet's mean colour
    "dytox": (*_BASIC, RandAugment(fill=(124, 116, 104))),
}


def preset(name: str) -> tuple[Operation, ...]:
    """The operations of a published recipe. Raises ValueError with the nearest name."""
    if name not in PRESETS:
        otherwise = f"known: {', '.join(PRESETS)}, or a list of operations"
        raise ValueError(f"no preset {name!r}{nearest(name, PRESETS, otherwise)}")
    return PRESETS[name]


class Augmenter:
    """Augments a method's training batches, from generators for that alone: none of it moves another draw.

    Between `start` and `stop`, which the loop calls around a phase, and nowhere else: what a method computes
    outside (herding, Fisher information, a memory normalised beforehand) sees images as they are stored.
    Raises ValueError for colour operations on images whose values do not go up to 255.
    """

    def __init__(self, operations: Any = (), mixup: Mixup | None = None, seed: int = 0, scale: float = 255.0):
        colours = [o.op for o in operations if not o.geometric]
        if colours and scale != 255:
            raise ValueError(f"augmentation {', '.join(colours)} needs pixels from 0 to 255, these end at {scale:g}")
        self._augment = Augment(operations) if operations else None
        self._mixup = mixup
        self._seed = seed
        self._new: torch.Generator | None = None
        self._old: torch.Generator | None = None

    def start(self, task: int, phase: int) -> None:
        """New generators for a phase: one for the loop's images, one for those that the method asks for itself, so
        that methods that replay and methods that do not see the loop's images alike."""
        self._new = generator_for(self._seed, "augment", task, phase)
        self._old = generator_for(self._seed, "augment replay", task, phase)

    def stop(self) -> None:
        self._new = self._old = None

    def has_work(self) -> bool:
        """Whether a phase that augments gets other images than those stored."""
        return self._augment is not None or self._mixup is not None

    def changes(self) -> bool:
        """Whether images are augmented now."""
        return self._augment is not None and self._new is not None

    def new(self, images: Tensor) -> Tensor:
        """The loop's images, uint8 [N, C, H, W], each with a draw of its own."""
        return self._apply(images, self._new)

    def old(self, images: Tensor) -> Tensor:
        """A method's own, e.g. replayed ones."""
        return self._apply(images, self._old)

    def _apply(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        return images if self._augment is None or generator is None else self._augment(images, generator)

    def mixes(self) -> bool:
        """Whether batches are mixed now."""
        return self._mixup is not None and self._new is not None

    def mix(self, x: Tensor, targets: Tensor, replayed: bool) -> tuple[Tensor, Tensor] | None:
        """Normalised images [N, C, H, W] and targets [N, columns] -> both mixed alike; None for a batch left as it is.

        replayed: the method asks, not the loop.
        """
        generator = self._old if replayed else self._new
        return None if self._mixup is None or generator is None else self._mixup(x, targets, generator)
