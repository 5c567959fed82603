"""Augmentation of whole batches in memory, on whatever device they are: uint8 [N, C, H, W] in and out.

Every image has its own draw, from an explicit generator and on the generator's device: with a CPU generator
the same seed gives the same augmentation on every device, and no step waits for a GPU to count its rows. On a
GPU a small batch costs launches, not arithmetic: augment a few thousand images a call and cut batches from
them.

Each operation is its own settings, as a recipe names them (`{op: crop, padding: 4}`), with `draw(images, generator)`,
the random part, and `apply(images, *draws)`, the rest. A new one is a class here and its name in AnyOperation. Pixel
arithmetic, rounding and edges are Pillow's, which torchvision and timm use image by image; colours are 0 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Generator, Tensor

from scenarios.pixel_operations import (
    Interpolation,
    PixelOperation,
    affine,
    autocontrast,
    brightness,
    contrast,
    each,
    equalize,
    erase,
    hue,
    invert,
    on_device_of,
    on_rows,
    posterize,
    saturation,
    sharpness,
    solarize,
    solarize_add,
)

Probability = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0)]
Value = Annotated[int, Field(ge=0, le=255)]
Colour = Value | tuple[Value, Value, Value]


class Augment:
    """Operations in order, then `normalise`: uint8 [N, C, H, W] -> float32 (without `normalise`, uint8).

    Augment([RandomCrop(padding=4), Flip(), ColorJitter(brightness=63 / 255)], scenario.normalise)
    """

    def __init__(self, operations: Sequence[Operation], normalise: Callable[[Tensor], Tensor] | None = None):
        self.operations = tuple(operations)
        self.normalise = normalise

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        if images.dtype != torch.uint8 or images.ndim != 4:
            got = f"{images.dtype} {list(images.shape)}"
            raise TypeError(f"augmentation works on uint8 [N, C, H, W], before normalisation; got {got}")
        for operation in self.operations:
            images = operation(images, generator)
        return images if self.normalise is None else self.normalise(images)


class Operation(BaseModel):
    """One augmentation, with its settings: a call draws and applies. The input is never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    geometric: ClassVar[bool] = False
    """Moves pixels as they are; what does not needs colours from 0 to 255."""
    op: str

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """The random parameters, the first axis over images, on the generator's device."""
        raise NotImplementedError

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> the same shape, deterministic."""
        raise NotImplementedError

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        return self.apply(images, *self.draw(images, generator))


def _uniform(shape: Sequence[int], low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device).mul_(high - low).add_(low)


def _integers(shape: Sequence[int], count: int, generator: Generator) -> Tensor:
    """int64, uniform from 0 to count - 1."""
    return torch.randint(count, shape, generator=generator, device=generator.device)


# Where things are in the image


class RandomCrop(Operation):
    """A window of the original size out of the image with a black border of `padding` pixels."""

    geometric = True
    op: Literal["crop"] = "crop"
    padding: int = Field(4, ge=1)

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """top, left: int64 [N], 0 to 2 padding, uniform."""
        top, left = _integers((2, len(images)), 2 * self.padding + 1, generator)
        return top, left

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        top, left = (on_device_of(draw, images).view(-1, 1, 1) for draw in draws)
        n, channels, height, width = images.shape
        padded = F.pad(images.contiguous(), (self.padding,) * 4)
        padded_height, padded_width = padded.shape[2:]
        # Rows of the output are contiguous runs of the padded pixels: copying run by run is three times as
        # fast as gathering pixel by pixel. `runs` views every run, overlapping, and copies nothing.
        plane = torch.arange(n * channels, device=images.device).view(n, channels, 1) * padded_height
        row = plane + top + torch.arange(height, device=images.device)
        runs = padded.as_strided((padded.numel() - width + 1, width), (1, 1))
        return runs.index_select(0, (row * padded_width + left).flatten()).view(images.shape)


class Flip(Operation):
    """Left and right swapped with this probability."""

    geometric = True
    op: Literal["flip"] = "flip"
    probability: Probability = 0.5

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """flipped: bool [N]."""
        return (_uniform((len(images),), 0, 1, generator) < self.probability,)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        return torch.where(each(on_device_of(draws[0], images)), images.flip(-1), images)


class Cutout(Operation):
    """A square of side `size` around a random pixel, clipped at the edges, set to `fill`.

    DeVries & Taylor 2017. Here it comes before normalising: zeros after it are the mean colour before it.
    """

    op: Literal["cutout"] = "cutout"
    size: int = Field(16, ge=1)
    fill: Colour = 0

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """row, column of the centre: int64 [N]."""
        n, _, height, width = images.shape
        return _integers((n,), height, generator), _integers((n,), width, generator)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        top, left = (draw - self.size // 2 for draw in draws)
        return erase(images, (top, left, top + self.size, left + self.size), self.fill)


class RandomErasing(Operation):
    """With this probability, a rectangle of random area and aspect ratio set to `fill` (Zhong et al. 2020).

    Area uniform, as a part of the image; aspect ratio log-uniform from MIN_ASPECT to 1 / MIN_ASPECT; of ten
    rectangles drawn the first that is smaller than the image is used, as in timm. `fill` as in Cutout.
    """

    op: Literal["erase"] = "erase"
    probability: Probability = 0.25
    fill: Colour = 0
    AREA: ClassVar[tuple[float, float]] = (0.02, 1 / 3)
    MIN_ASPECT: ClassVar[float] = 0.3

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """top, left, bottom, right: int64 [N], exclusive at the end; all 0 where nothing is erased."""
        n, _, height, width = images.shape
        area = _uniform((n, 10), *self.AREA, generator) * (height * width)
        aspect = _uniform((n, 10), math.log(self.MIN_ASPECT), -math.log(self.MIN_ASPECT), generator).exp()
        boxes = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()]).round().long()
        fits = (boxes[0] < height) & (boxes[1] < width)
        first = fits.int().argmax(dim=1)
        box_height, box_width = boxes[:, torch.arange(n, device=first.device), first]
        top = (_uniform((n,), 0, 1, generator) * (height - box_height + 1)).long()
        left = (_uniform((n,), 0, 1, generator) * (width - box_width + 1)).long()
        erased = (_uniform((n,), 0, 1, generator) < self.probability) & fits.any(dim=1)
        return top * erased, left * erased, (top + box_height) * erased, (left + box_width) * erased

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        return erase(images, draws, self.fill)


class ColorJitter(Operation):
    """Brightness, contrast, saturation and hue changed at random, in an order drawn for each image.

    Factors are uniform in [max(0, 1 - strength), 1 + strength], the hue shift in [-hue, hue] (torchvision's
    ColorJitter). Class-incremental work uses brightness=63/255 alone.
    """

    op: Literal["jitter"] = "jitter"
    brightness: Strength = 0.0
    contrast: Strength = 0.0
    saturation: Strength = 0.0
    hue: float = Field(0.0, ge=0, le=0.5)

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """values [N, 4] of brightness, contrast, saturation, hue; order int64 [N, 4], which of them when."""
        n = len(images)
        strengths = (self.brightness, self.contrast, self.saturation)
        values = [_uniform((n,), max(0.0, 1 - strength), 1 + strength, generator) for strength in strengths]
        values.append(_uniform((n,), -self.hue, self.hue, generator))
        return torch.stack(values, 1), _uniform((n, 4), 0, 1, generator).argsort(1)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        values, order = draws
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        functions = (brightness, contrast, saturation, hue)
        used = [(i, function) for i, function in enumerate(functions) if strengths[i]]
        if len(used) == 1:
            i, function = used[0]
            return function(images, on_device_of(values[:, i], images))
        images = images.clone()
        for position in range(4):
            for i, function in used:
                on_rows(images, order[:, position] == i, function, values[:, i])
        return images


# Policies: which operations, how strong


PIXEL_OPERATIONS: dict[str, PixelOperation] = {
    "AutoContrast": autocontrast,
    "Equalize": equalize,
    "Invert": invert,
    "Posterize": posterize,
    "Solarize": solarize,
    "SolarizeAdd": solarize_add,
    "Color": saturation,
    "Contrast": contrast,
    "Brightness": brightness,
    "Sharpness": sharpness,
}
GEOMETRIC_OPERATIONS = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
POLICY_OPERATIONS = (*PIXEL_OPERATIONS, *GEOMETRIC_OPERATIONS)
_ID = {name: i for i, name in enumerate(POLICY_OPERATIONS)}


def _values(operation: Tensor, strength: Tensor, sign: Tensor, special: dict[str, Tensor]) -> Tensor:
    """Each operation's argument (degrees, shear, factor ...) at a strength of 0 to 1; `special`: the policy's own."""
    signed = strength * sign
    values = torch.zeros_like(strength)
    amounts = dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), 1 + 0.9 * signed)
    amounts |= {"Rotate": 30 * signed, "ShearX": 0.3 * signed, "ShearY": 0.3 * signed, **special}
    for name, amount in amounts.items():
        values = torch.where(operation == _ID[name], amount, values)
    return values


def _matrices(operation: Tensor, value: Tensor, height: int, width: int) -> Tensor:
    """The `affine` matrix [N, 6] of each operation, the identity for colours; turns are about the centre."""
    parts = [(operation == _ID[name]) * value for name in GEOMETRIC_OPERATIONS]
    degrees, shear_x, shear_y, part_x, part_y = parts
    cos, sin = torch.deg2rad(-degrees).cos(), torch.deg2rad(-degrees).sin()
    x, y = width / 2, height / 2
    shift_x = x - cos * x - sin * y + part_x * width
    shift_y = y + sin * x - cos * y + part_y * height
    return torch.stack([cos, sin + shear_x, shift_x, shear_y - sin, cos, shift_y], 1)


def _policy(images: Tensor, draws: Sequence[Tensor], interpolation: Interpolation, fill: Colour) -> Tensor:
    """draws: operations int64 [N, K], indices of POLICY_OPERATIONS or -1 for none; their values [N, K]."""
    images = images.clone()
    # One call an operation for all images that drew it, one call for all the geometric ones.
    geometric = partial(affine, interpolation=interpolation, fill=fill)
    for operation, value in zip(draws[0].unbind(1), draws[1].unbind(1), strict=True):
        for name, function in PIXEL_OPERATIONS.items():
            on_rows(images, operation == _ID[name], function, value)
        matrix = _matrices(operation, value, *images.shape[2:])
        on_rows(images, operation >= len(PIXEL_OPERATIONS), geometric, matrix)
    return images


class RandAugment(Operation):
    """Cubuk et al. 2020 as in timm's "rand-m9-mstd0.5-inc1", which DeiT and DyTox train with.

    `n_operations` of the 15 an image, with replacement, each done with `probability` at a magnitude from
    N(magnitude, magnitude_std), clipped to 0 ... 10; all get stronger as it grows. timm's create_transform
    fills with the mean colour (ImageNet's: 124, 116, 104), its bare operations with grey 128.
    """

    op: Literal["randaugment"] = "randaugment"
    magnitude: float = Field(9.0, ge=0, le=10)
    magnitude_std: Strength = 0.5
    n_operations: int = Field(2, ge=1)
    probability: Probability = 0.5
    interpolation: Interpolation = "bicubic"
    fill: Colour = 128

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """operations int64 [N, n_operations], -1 where none is done, and their values [N, n_operations]."""
        shape = (len(images), self.n_operations)
        operation = _integers(shape, len(POLICY_OPERATIONS), generator)
        done = _uniform(shape, 0, 1, generator) < self.probability
        noise = torch.randn(shape, generator=generator, device=generator.device)
        strength = (self.magnitude + self.magnitude_std * noise).clamp(0, 10) / 10
        sign = 1.0 - 2 * _integers(shape, 2, generator)
        shift = 0.45 * strength * sign
        special = {"TranslateX": shift, "TranslateY": shift, "SolarizeAdd": (110 * strength).floor()}
        special |= {"Posterize": 4 - (4 * strength).floor(), "Solarize": 256 - (256 * strength).floor()}
        return operation.where(done, -1), _values(operation, strength, sign, special)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        return _policy(images, draws, self.interpolation, self.fill)


CIFAR10_POLICY = (
    (("Invert", 0.1, 0), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 0), ("Equalize", 0.9, 0)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 0), ("Equalize", 0.5, 0)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 0), ("AutoContrast", 0.4, 0)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 0)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 0), ("Equalize", 0.6, 0)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 0)),
    (("AutoContrast", 0.8, 0), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 0)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 0), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 0), ("Invert", 0.1, 0)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 0)),
)
"""Cubuk et al. 2019, appendix, table 7: (operation, probability, level 0 to 9), two after each other."""


class AutoAugment(Operation):
    """Cubuk et al. 2019, the policy found on CIFAR-10: one of CIFAR10_POLICY's pairs an image.

    Strengths are torchvision's, geometry is interpolated (torchvision's default takes the nearest pixel).
    """

    op: Literal["autoaugment"] = "autoaugment"
    interpolation: Interpolation = "bicubic"
    fill: Colour = 128

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        """operations int64 [N, 2], -1 where none is done, and their values [N, 2]."""
        table = torch.tensor([[(_ID[name], p, level) for name, p, level in pair] for pair in CIFAR10_POLICY])
        pair = _integers((len(images),), len(CIFAR10_POLICY), generator)
        operation, probability, level = table.to(pair.device)[pair].unbind(2)
        operation, strength = operation.long(), level / 9
        done = _uniform(operation.shape, 0, 1, generator) < probability
        sign = 1.0 - 2 * _integers(operation.shape, 2, generator)
        shift = 150 / 331 * strength * sign
        special = {"TranslateX": shift, "TranslateY": shift}
        special |= {"Posterize": 8 - (4 * strength).round(), "Solarize": 255 * (1 - strength)}
        return operation.where(done, -1), _values(operation, strength, sign, special)

    def apply(self, images: Tensor, *draws: Tensor) -> Tensor:
        return _policy(images, draws, self.interpolation, self.fill)


AnyOperation = Annotated[
    RandomCrop | Flip | ColorJitter | Cutout | RandomErasing | RandAugment | AutoAugment, Field(discriminator="op")
]
"""An operation as a recipe may name it, by its `op`."""
