"""Pixel arithmetic on whole batches, uint8 [N, C, H, W]: geometry, erasing and colours, each image its own values.

Arithmetic, rounding and edges are Pillow's, which torchvision and timm use image by image; colours are 0 to 255.
Nothing here is random: `scenarios.augment` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]
Fill = int | tuple[int, ...]
PixelOperation = Callable[[Tensor, Tensor], Tensor]
"""(images uint8 [N, C, H, W], one value an image [N]) -> images."""


def on_device_of(draw: Tensor, images: Tensor) -> Tensor:
    """A draw on the device of the images. Pageable memory is staged at once: the host need not wait."""
    return draw.to(images.device, non_blocking=images.is_cuda)


def each(draw: Tensor) -> Tensor:
    """[N] -> [N, 1, 1, 1]."""
    return draw.view(-1, 1, 1, 1)


def erase(images: Tensor, edges: Sequence[Tensor], fill: Fill) -> Tensor:
    top, left, bottom, right = (each(on_device_of(edge, images)) for edge in edges)
    rows = torch.arange(images.shape[2], device=images.device).view(1, 1, -1, 1)
    columns = torch.arange(images.shape[3], device=images.device)
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return torch.where(inside, _colour(fill, images), images)


def _colour(fill: Fill, images: Tensor) -> Tensor:
    """fill as uint8 [1, C or 1, 1, 1]."""
    values = (fill,) if isinstance(fill, int) else tuple(fill)
    if len(values) not in (1, images.shape[1]):
        raise ValueError(f"fill={fill} has {len(values)} values, the images have {images.shape[1]} channels")
    return _kept(values, images.device)


@lru_cache(maxsize=64)
def _kept(values: tuple[int, ...], device: torch.device) -> Tensor:
    # Copying it anew for every batch would make the host wait for a GPU.
    return torch.tensor(values, dtype=torch.uint8, device=device).view(1, -1, 1, 1)


def affine(images: Tensor, matrix: Tensor, interpolation: Interpolation, fill: Fill) -> Tensor:
    """Each output pixel (x, y) is the input at (a x + b y + c, d x + e y + f), `fill` where that is outside.

    images uint8 [N, C, H, W]; matrix float [N, 6], a to f, in pixels. Neighbours beyond the edge repeat it.
    As in Pillow the cubic is Keys' with -1 (grid_sample has -0.75), and results are cut off, not rounded.
    """
    n, _, height, width = images.shape
    a, b, c, d, e, f = on_device_of(matrix, images).view(n, 6, 1, 1).unbind(1)
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device).view(-1, 1) + 0.5
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    taps_x, weights_x = _taps(source_x - 0.5, width, interpolation)
    taps_y, weights_y = _taps(source_y - 0.5, height, interpolation)
    pixels = images.flatten(2).float()
    total = torch.zeros(images.shape, device=images.device)
    for row, row_weight in zip(taps_y, weights_y, strict=True):
        for column, weight in zip(taps_x, weights_x, strict=True):
            index = (row * width + column).view(n, 1, -1).expand(-1, images.shape[1], -1)
            total.addcmul_(pixels.gather(2, index).view(images.shape), (row_weight * weight).unsqueeze(1))
    # float32 leaves the weighted sum over a flat area up to 1e-4 short of its integer: lose no level there.
    total = total.add_(2e-4).clamp_(0, 255)
    return torch.where(inside.unsqueeze(1), total.to(torch.uint8), _colour(fill, images))


def _taps(position: Tensor, size: int, interpolation: Interpolation) -> tuple[list[Tensor], list[Tensor]]:
    """The pixels that an interpolated position lies between, int64, and their weights."""
    start = position.floor()
    t = position - start
    s = 1 - t
    if interpolation == "bicubic":
        first, weights = -1, [-t * s * s, 1 - t * t * (2 - t), 1 - s * s * (2 - s), -s * t * t]
    else:
        first, weights = 0, [s, t]
    return [(start + first + i).clamp(0, size - 1).long() for i in range(len(weights))], weights


# Colours: each function takes images uint8 [N, C, H, W] and one value an image, [N]


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """0 is black, 1 the image."""
    return _blend(torch.zeros_like(images), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """0 is the image's mean grey, 1 the image."""
    mean = _grey(images).float().mean((1, 2, 3), keepdim=True).add_(0.5).floor_()
    return _blend(mean, images, factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """0 is greyscale, 1 the image."""
    return _blend(_grey(images), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """0 is smoothed by the 3x3 kernel of ones with 5 in the middle (edges kept), 1 the image."""
    pixels = images.float()
    rows = pixels[..., :-2, :] + pixels[..., 1:-1, :] + pixels[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * pixels[..., 1:-1, 1:-1]
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = total.div_(13).add_(0.5).floor_()
    return _blend(smooth, pixels, factor)


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Colours turned by `shift` of the colour circle, -0.5 to 0.5. Grey images have no hue."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.float().unbind(1)
    high, low = images.amax(1).float(), images.amin(1).float()
    chroma = high - low
    span = chroma.clamp(min=1)
    sixth = torch.where(high == green, (blue - red) / span + 2, (red - green) / span + 4)
    sixth = torch.where(high == red, (green - blue) / span, sixth)
    sixth = sixth + 6 * shift.view(-1, 1, 1)
    channels = []
    for place in (5, 3, 1):
        k = (place + sixth) % 6
        channels.append(high - chroma * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(channels, 1).add_(0.5).clamp_(0, 255).to(torch.uint8)


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Each channel stretched to 0 ... 255."""
    low = images.amin((2, 3), keepdim=True).int()
    span = images.amax((2, 3), keepdim=True).int() - low
    stretched = (images.int() - low) * 255 // span.clamp(min=1)
    return torch.where(span > 0, stretched.to(torch.uint8), images)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Each channel mapped so that its values are spread evenly, by Pillow's integer rule."""
    values = images.flatten(2).long()
    counts = torch.zeros(*images.shape[:2], 256, dtype=torch.int32, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values, dtype=torch.int32))
    brightest = counts.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - brightest) // 255
    below = counts.cumsum(2) - counts
    table = ((step // 2 + below) // step.clamp(min=1)).clamp_(max=255).to(torch.uint8)
    return torch.where(step.unsqueeze(-1) > 0, table.gather(2, values).view(images.shape), images)


def invert(images: Tensor, _: Tensor) -> Tensor:
    return 255 - images


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """The `bits` most significant bits of each value kept, 0 (black) to 8."""
    return images & each(256 - 2 ** (8 - bits.int())).to(torch.uint8)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Values from `threshold` on inverted."""
    return torch.where(images.float() >= each(threshold), 255 - images, images)


def solarize_add(images: Tensor, amount: Tensor) -> Tensor:
    """`amount` added to values below 128."""
    brighter = (images.int() + each(amount.int())).clamp_(max=255).to(torch.uint8)
    return torch.where(images < 128, brighter, images)


def _grey(images: Tensor) -> Tensor:
    """ITU-R 601 luma, uint8 [N, 1, H, W], in Pillow's 16-bit fixed point."""
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise ValueError(f"colour operations need 1 or 3 channels, not {images.shape[1]}")
    red, green, blue = images.int().split(1, dim=1)
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000).bitwise_right_shift(16).to(torch.uint8)


def _blend(start: Tensor, end: Tensor, factor: Tensor) -> Tensor:
    """start + factor (end - start), within 0 ... 255 and cut off to integers."""
    start = start.float()
    return (end.float() - start).mul_(each(factor)).add_(start).clamp_(0, 255).to(torch.uint8)


def on_rows(images: Tensor, chosen: Tensor, function: PixelOperation, values: Tensor) -> None:
    """In place: the function, with their values, on those images where `chosen` (bool [N]) holds."""
    rows = chosen.nonzero()[:, 0]
    if len(rows):
        where = on_device_of(rows, images)
        images.index_copy_(0, where, function(images.index_select(0, where), on_device_of(values[rows], images)))
