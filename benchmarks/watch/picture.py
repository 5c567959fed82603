"""The accuracy matrix as a picture, drawn by Pillow: matplotlib would take longer to import than a short cell to run."""

from __future__ import annotations

import numpy as np
from numpy import uint8
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WIDE = 36
"""Pixels of a square that has room for its number; of those of more than MOST tasks, NARROW, without numbers."""
NARROW = 8
MOST = 25
_LOW, _HIGH, _ABSENT = np.array([247, 247, 242]), np.array([20, 75, 125]), np.array([205, 205, 205])


def picture(accuracy: NDArray[np.float64]) -> NDArray[uint8]:
    """accuracy: (T + 1) x T fractions, NaN where not evaluated (grey). Gives height x width x 3, RGB: a row of squares
    before training and one after each task, from light (0) to dark (1), with the accuracy in percent."""
    rows, columns = accuracy.shape
    side = WIDE if columns <= MOST else NARROW
    share = np.nan_to_num(accuracy)[..., None]
    colours = np.where(np.isnan(accuracy)[..., None], _ABSENT, _LOW + share * (_HIGH - _LOW)).astype(uint8)
    pixels = colours.repeat(side, axis=0).repeat(side, axis=1)
    pixels[side - 1 :: side] = pixels[:, side - 1 :: side] = 255  # lines between them
    if side == NARROW:
        return pixels
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for i in range(rows):
        for j in range(columns):
            if not np.isnan(accuracy[i, j]):
                middle, text = ((j + 0.5) * side, (i + 0.5) * side), f"{100 * accuracy[i, j]:.0f}"
                draw.text(middle, text, fill="white" if accuracy[i, j] > 0.5 else "black", anchor="mm")
    return np.asarray(image)
