"""From an image file to pixels: decoding, and timm's transforms with draws that belong to the image alone."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from torch import Tensor

from scenarios.seeding import preserved_rng_state, seed_for

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Channel mean and standard deviation of ImageNet's pixels / 255, as timm and torchvision have them."""


class CorruptImage(RuntimeError):
    """A file that is no whole image; the message names it."""


class ImageTransform(BaseModel):
    """How image files become pixels: the arguments of timm's `create_transform`, whose defaults these are.

    Training: random resized crop, flip, colour jitter or `auto_augment` (timm leaves the jitter out where that is
    given, except for 3augment), random erasing. Test: resize to image_size / test_crop, centre crop.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    image_size: int = Field(224, ge=8, description="pixels, height and width")
    scale: tuple[float, float] = Field((0.08, 1.0), description="share of the image's area in a training crop")
    ratio: tuple[float, float] = Field((3 / 4, 4 / 3), description="width / height of a training crop")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    color_jitter: float | tuple[float, float, float] = Field(
        0.4, description="strength for brightness, contrast and saturation, or one for each"
    )
    auto_augment: str | None = Field(None, description='policy in timm\'s words, e.g. "rand-m9-mstd0.5-inc1" (DyTox)')
    re_prob: float = Field(0.0, ge=0, le=1, description="probability of random erasing, with the mean colour")
    interpolation: Literal["bilinear", "bicubic", "random"] = Field(
        "bilinear", description="of resized pixels; random: training draws either, test is bilinear"
    )
    test_crop: float = Field(0.875, gt=0, le=1, description="side of the centre crop / shorter side of the test image")


class DecodedOnce(BaseModel):
    """How image files become pixels once, when the stream is made: they are then held in memory as other data sets are.

    Resize to image_size / test_crop, centre crop, for training and test alike; the recipe's `augmentation` does the
    rest on whole batches. For trees that fit in memory: 3 * image_size**2 bytes an image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    decode: Literal["once"] = Field("once", description="files are decoded once, into memory")
    image_size: int = Field(64, ge=8, description="pixels, height and width")
    interpolation: Literal["bilinear", "bicubic"] = Field("bilinear", description="of resized pixels")
    test_crop: float = Field(1.0, gt=0, le=1, description="side of the centre crop / shorter side of the image")

    def each_time(self) -> ImageTransform:
        """The transform of a test image by which these pixels are made."""
        return ImageTransform(image_size=self.image_size, interpolation=self.interpolation, test_crop=self.test_crop)


def kind_of_transform(settings: Any) -> str:
    """Which of the two classes `settings` are of: "once" where they say so."""
    decode = settings.get("decode") if isinstance(settings, dict) else getattr(settings, "decode", None)
    return "each time" if decode is None else "once"


AnyTransform = Annotated[
    Annotated[ImageTransform, Tag("each time")] | Annotated[DecodedOnce, Tag("once")], Discriminator(kind_of_transform)
]
"""With `decode: once`, files become pixels in memory; else they are decoded whenever a batch needs them."""


@lru_cache(maxsize=8)
def compose(transform: ImageTransform, training: bool) -> Callable[[Image.Image], Tensor]:
    """PIL image -> uint8 [3, S, S]: timm's transform up to, and without, normalisation.

    Erasing needs no float pixels here: timm erases normalised pixels with 0, which is the mean colour. Batches
    thus travel from workers to the device as bytes, a quarter of the floats.
    """
    from timm.data import create_transform

    size = (transform.image_size, transform.image_size)
    if not training:
        interpolation = "bilinear" if transform.interpolation == "random" else transform.interpolation
        return create_transform(size, interpolation=interpolation, crop_pct=transform.test_crop, normalize=False)
    operations = create_transform(
        size,
        is_training=True,
        scale=transform.scale,
        ratio=transform.ratio,
        hflip=transform.flip,
        color_jitter=transform.color_jitter,
        auto_augment=transform.auto_augment,
        interpolation=transform.interpolation,
        normalize=False,
    )
    for operation in operations.transforms:
        _allow_no_bits(operation)
    return _Erased(operations, transform) if transform.re_prob else operations


def _allow_no_bits(operation: Any) -> None:
    """Makes timm's posterising to 0 bits a black image, as it was before Pillow 13, which raises ValueError.

    A magnitude of 9 +- 0.5 (DyTox's policy) reaches it in one image of some hundreds.
    """
    several = getattr(operation, "ops", None) or [op for ops in getattr(operation, "policy", []) for op in ops]
    for op in several:
        if "Posterize" in getattr(op, "name", ""):
            op.aug_fn = partial(_posterize, op.aug_fn)


def _posterize(posterize: Callable[..., Image.Image], image: Image.Image, bits: int, **settings: Any) -> Image.Image:
    return posterize(image, bits, **settings) if bits > 0 else Image.new(image.mode, image.size)


class _Erased:
    """`operations`, then timm's random erasing: its rectangles, filled with the mean colour."""

    def __init__(self, operations: Callable[[Image.Image], Tensor], transform: ImageTransform):
        from timm.data.random_erasing import RandomErasing

        self.operations = operations
        self.eraser = RandomErasing(transform.re_prob, mode="const", device="cpu")
        self.whole = torch.ones(1, transform.image_size, transform.image_size)
        self.colour = torch.tensor([round(255 * m) for m in IMAGENET_MEAN], dtype=torch.uint8).view(3, 1, 1)

    def __call__(self, image: Image.Image) -> Tensor:
        pixels = self.operations(image)
        return torch.where(self.eraser(self.whole.clone()) == 0, self.colour, pixels)


def check_transform(transform: ImageTransform) -> None:
    """Raises ValueError where timm does not know the policy, before anything is trained."""
    try:
        with preserved_rng_state():
            compose(transform, True)(Image.new("RGB", (64, 48)))
    except Exception as error:
        raise ValueError(f"transform: timm cannot build it ({type(error).__name__}: {error})") from error


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """The file as RGB, turned as its EXIF orientation says; 16-bit greys are scaled by 1/257 to 8 bits.

    By torchcodec where it is installed and reads the file, else by Pillow. Raises CorruptImage, which names the file.
    """
    decode = _torchcodec()
    try:
        with Image.open(path) as image:
            plain = image.mode in ("L", "RGB") and image.getexif().get(ORIENTATION, 1) == 1
            if decode is not None and plain:
                try:
                    return Image.fromarray(decode(path, mode="RGB").permute(1, 2, 0).numpy())
                except Exception:
                    pass  # Pillow reads formats that torchcodec does not, and else says what is wrong
            upright = image if plain else ImageOps.exif_transpose(image)
            return _eight_bits(upright).convert("RGB")
    except Exception as error:
        raise CorruptImage(f"{os.fspath(path)} cannot be decoded ({type(error).__name__}: {error})") from None


ORIENTATION = 0x0112
"""The EXIF tag of a photograph's orientation; 1 is upright."""


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of more than 8 bits a channel brought to 8. `convert` would cut off everything above 255.

    16-bit integers (modes I;16*, and I as Pillow reads some 16-bit PNGs) are divided by 257, so that 65535 is 255.
    Raises ValueError for values beyond 16 bits and for floating point, whose range nothing tells.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    if image.mode == "F":
        raise ValueError("floating-point pixels, of which the range is not known; save it with 8 or 16 bits")
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"pixels from {values.min()} to {values.max()}; 8 or 16 bits are read")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


@lru_cache(maxsize=1)
def _torchcodec() -> Callable[..., Tensor] | None:
    """torchcodec's decoder (images since 0.16), None where it or a library that it needs is missing."""
    try:
        from torchcodec.decoders import decode_image
    except (ImportError, OSError, RuntimeError):
        return None
    return decode_image


def decoder_name() -> str:
    """What decodes files here, for the record."""
    if _torchcodec() is None:
        import PIL

        return f"Pillow {PIL.__version__}"
    from importlib.metadata import version

    return f"torchcodec {version('torchcodec')}"


def pixels_at_test(path: Path, transform: ImageTransform) -> Tensor:
    """uint8 [3, S, S], the same at every call."""
    return compose(transform, False)(read_image(path))


def pixels_in_training(
    images: Sequence[Image.Image], transform: ImageTransform, seed: int, positions: Sequence[int]
) -> list[Tensor]:
    """uint8 [3, S, S] each. Image k draws from generators seeded by (`seed`, positions[k]) and from nothing else.

    timm and torchvision draw from the global generators of random, numpy and torch. These are seeded anew for
    each image and put back afterwards, so that an image's augmentation depends neither on the worker that made it
    nor on what was drawn before, and a method's own draws do not depend on augmentation.
    """
    apply = compose(transform, True)
    pixels = []
    with preserved_rng_state():
        for image, position in zip(images, positions, strict=True):
            own = seed_for(seed, int(position))
            random.seed(own)
            np.random.seed(own % 2**32)  # noqa: NPY002 - timm's RandAugment draws from it
            torch.default_generator.manual_seed(own)  # not torch.manual_seed, which would seed the GPUs too
            pixels.append(apply(image))
    return pixels
