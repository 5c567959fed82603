"""Sizes of data sets that suites name as trees of class folders: what `cost` counts with where the tree is not at hand.

The splits are those that LAMDA-PILOT hands out, whose classes it counts as even.
"""

from __future__ import annotations

import os

import torch

from scenarios.dataset import DataNotFound
from scenarios.datasets import OUTLINES, Outline, load_dataset, outline


def _even(classes: int, train: int, test: int) -> Outline:
    """`train` and `test` images over `classes`, as many in one as in another (to one)."""
    counts = [tuple(n // classes + (k < n % classes) for k in range(classes)) for n in (train, test)]
    return Outline((3, 224, 224), counts[0], counts[1], f"{train:,} and {test:,} images, taken as even over classes")


SIZES = OUTLINES | {
    "folder:imagenet-r": _even(200, 24_000, 6_000),
    "folder:imagenet-a": _even(200, 5_981, 1_519),
    "folder:cub200": _even(200, 9_430, 2_358),
    "folder:omnibenchmark": _even(300, 89_697, 5_985),
}


def size_of(name: str, data_root: str | os.PathLike[str] | None = None, with_test: bool = True) -> Outline:
    """The facts of data set `name`, from the data or, where that is not at hand, from SIZES. Raises as `load_dataset`.

    with_test: not so, the test labels are not read, and each class counts as having one.
    """
    try:
        if with_test or name in OUTLINES:
            return outline(name, data_root)
        d = load_dataset(name, data_root)
        counts = tuple(torch.bincount(d.train_labels, minlength=d.n_classes).tolist())
        _, channels, height, width = d.train_images.shape
        return Outline((channels, height, width), counts, (1,) * len(counts))
    except DataNotFound:
        if name in SIZES:
            return SIZES[name]
        raise
