"""Ten pictures of each class of a data set in one image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.wording import cut
from scenarios import ImageFiles
from scenarios.dataset import Dataset
from scenarios.image_transform import read_image

A_CLASS = 10
"""Pictures."""
ROWS = 50
"""Classes below each other; more stand beside them."""
SMALLEST, LARGEST = 32, 64
"""Sides of a picture as shown, pixels."""
GAP, NAME = 2, 110
"""Pixels between pictures, and for the name of a class."""


def contact_sheet(data: Dataset, names: list[str], path: Path) -> Path:
    """Writes the first training images of each class, a row a class, as a PNG. Raises ValueError where an example is a
    vector and no picture, and CorruptImage."""
    if tuple(data.train_images.shape[2:]) == (1, 1):
        raise ValueError("its examples are vectors, of which there are no pictures")
    rows, places = _first_of_each(data.train_labels, len(names))
    tiles = _tiles(data, rows)
    side = tiles[0].width
    columns, height = -(-len(names) // ROWS), min(ROWS, len(names))
    width = NAME + A_CLASS * (side + GAP)
    sheet = Image.new("RGB", (columns * width, height * (side + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(names):
        x, y = label // ROWS * width, label % ROWS * (side + GAP)
        draw.text((x + 4, y + side // 2 - 6), cut(name, 16), fill="black")
    for (label, place), tile in zip(places, tiles, strict=True):
        sheet.paste(tile, (label // ROWS * width + NAME + place * (side + GAP), label % ROWS * (side + GAP)))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def _first_of_each(labels: Tensor, n_classes: int) -> tuple[Tensor, list[tuple[int, int]]]:
    """The first A_CLASS rows of each class, and the (class, place) of each."""
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels, minlength=n_classes)
    place = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order]]
    chosen = place < A_CLASS
    return order[chosen], list(zip(labels[order[chosen]].tolist(), place[chosen].tolist(), strict=True))


def _tiles(data: Dataset, rows: Tensor) -> list[Image.Image]:
    images = data.train_images
    if isinstance(images, ImageFiles):
        return [_square(read_image(images.path(int(row))), LARGEST) for row in rows]
    pixels = images[rows].to(torch.float64)
    if images.dtype == torch.uint8:
        pixels = pixels / data.scale
    else:
        pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min()).clamp(min=1e-12)
    if pixels.shape[1] not in (1, 3):
        pixels = pixels.mean(1, keepdim=True)
    arrays = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    side = min(LARGEST, max(SMALLEST, *arrays.shape[1:3]))
    return [_square(Image.fromarray(np.ascontiguousarray(array)), side) for array in arrays]


def _square(image: Image.Image, side: int) -> Image.Image:
    """The whole image, as large as fits."""
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    small = image.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BILINEAR)
    square = Image.new("RGB", (side, side), "white")
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return square
