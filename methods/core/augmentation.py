"""Augmentation as a recipe names it, and where a method's batches get it.

An operation is one of `scenarios.augment` with its settings, `{op: crop, padding: 4}`; a list is applied in order.
PRESETS are the lists of published recipes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from torch import Tensor

from scenarios import augment
from scenarios.nearest import nearest
from scenarios.pixel_operations import Interpolation
from scenarios.seeding import generator_for

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
Probability = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0)]
Fill = Annotated[int, Field(ge=0, le=255)]
Colour = Fill | tuple[Fill, Fill, Fill]


class _Operation(BaseModel):
    model_config = STRICT
    kind: ClassVar[Callable[..., augment.Operation]]

    def build(self) -> augment.Operation:
        return self.kind(**{name: getattr(self, name) for name in type(self).model_fields if name != "op"})


class Crop(_Operation):
    """A random window of the original size out of the image with a black border."""

    kind = augment.RandomCrop
    op: Literal["crop"]
    padding: int = Field(4, ge=1)


class Flip(_Operation):
    """Left and right swapped."""

    kind = augment.Flip
    op: Literal["flip"]
    probability: Probability = 0.5


class Jitter(_Operation):
    """Brightness, contrast, saturation, hue, as torchvision's ColorJitter."""

    kind = augment.ColorJitter
    op: Literal["jitter"]
    brightness: Strength = 0.0
    contrast: Strength = 0.0
    saturation: Strength = 0.0
    hue: float = Field(0.0, ge=0, le=0.5)


class Cutout(_Operation):
    """A square set to one colour (DeVries & Taylor 2017)."""

    kind = augment.Cutout
    op: Literal["cutout"]
    size: int = Field(16, ge=1)
    fill: Colour = 0


class Erase(_Operation):
    """A random rectangle set to one colour (Zhong et al. 2020)."""

    kind = augment.RandomErasing
    op: Literal["erase"]
    probability: Probability = 0.25
    fill: Colour = 0


class Randaugment(_Operation):
    """timm's rand-m9-mstd0.5-inc1 by default (Cubuk et al. 2020)."""

    kind = augment.RandAugment
    op: Literal["randaugment"]
    magnitude: float = Field(9.0, ge=0, le=10)
    magnitude_std: Strength = 0.5
    n_operations: int = Field(2, ge=1)
    probability: Probability = 0.5
    interpolation: Interpolation = "bicubic"
    fill: Colour = 128


class Autoaugment(_Operation):
    """The CIFAR-10 policy (Cubuk et al. 2019)."""

    kind = augment.AutoAugment
    op: Literal["autoaugment"]
    interpolation: Interpolation = "bicubic"
    fill: Colour = 128


OperationSettings = Annotated[
    Crop | Flip | Jitter | Cutout | Erase | Randaugment | Autoaugment, Field(discriminator="op")
]
Operations = Annotated[
    Annotated[str, Tag("preset")] | Annotated[tuple[OperationSettings, ...], Tag("operations")],
    Discriminator(lambda value: "preset" if isinstance(value, str) else "operations"),
]
"""What a recipe may say: a list of operations, or the name of a preset."""
GEOMETRIC = (Crop, Flip)
"""What needs no colours from 0 to 255."""

_BASIC = (Crop(op="crop"), Flip(op="flip"))
_JITTER = Jitter(op="jitter", brightness=63 / 255)
PRESETS: dict[str, tuple[_Operation, ...]] = {
    "none": (),
    "cifar": _BASIC,
    # DER and PyCIL
    "cifar-jitter": (*_BASIC, _JITTER),
    # FOSTER's own code for CIFAR-100; its zeros of Cutout come before normalising
    "cifar-autoaugment": (*_BASIC, _JITTER, Autoaugment(op="autoaugment"), Cutout(op="cutout")),
    # DyTox and DNE: timm's create_transform, which fills with ImageNet's mean colour
    "dytox": (*_BASIC, Randaugment(op="randaugment", fill=(124, 116, 104))),
}


def preset(name: str) -> tuple[_Operation, ...]:
    """The operations of a published recipe. Raises ValueError with the nearest name."""
    if name not in PRESETS:
        otherwise = f"known: {', '.join(PRESETS)}, or a list of operations"
        raise ValueError(f"no preset {name!r}{nearest(name, PRESETS, otherwise)}")
    return PRESETS[name]


class MixupSettings(BaseModel):
    """Images of a batch mixed in pairs, and their targets with them (Zhang et al. 2018)."""

    model_config = STRICT
    alpha: float = Field(0.8, gt=0, description="of the Beta distribution of the part kept")
    probability: Probability = Field(1.0, description="of a batch being mixed")
    per_image: bool = Field(False, description="a part for each image, or (timm, DyTox+) one for the batch")


class Augmenter:
    """Augments a method's training batches, from generators of its own: none of it moves another draw.

    Between `start` and `stop`, which the loop calls around a phase, and nowhere else: what a method computes
    outside (herding, Fisher information, a memory normalised beforehand) sees images as they are stored.
    Raises ValueError for colour operations on images whose values do not go up to 255.
    """

    def __init__(self, operations: Any = (), mixup: MixupSettings | None = None, seed: int = 0, scale: float = 255.0):
        colours = [o.op for o in operations if not isinstance(o, GEOMETRIC)]
        if colours and scale != 255:
            raise ValueError(f"augmentation {', '.join(colours)} needs pixels from 0 to 255, these end at {scale:g}")
        self._augment = augment.Augment([o.build() for o in operations]) if operations else None
        self._mixup = mixup
        self._mix = augment.Mixup(mixup.alpha, per_image=mixup.per_image) if mixup else None
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

    def mix(self, x: Tensor, targets: Tensor, own: bool) -> tuple[Tensor, Tensor] | None:
        """Normalised images [N, C, H, W] and targets [N, columns] -> both mixed alike; None for a batch left as it is.

        own: the method asks, not the loop.
        """
        generator = self._old if own else self._new
        if self._mixup is None or self._mix is None or generator is None:
            return None
        if self._mixup.probability < 1 and float(torch.rand((), generator=generator)) >= self._mixup.probability:
            return None
        return self._mix(x, targets, generator)
