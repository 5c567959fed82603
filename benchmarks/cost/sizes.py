"""Sizes of data sets that suites name as trees of class folders: what `cost` counts with where the tree is not at hand.

The splits are those that LAMDA-PILOT hands out, whose classes it counts as even; Tiny-ImageNet's are even.
"""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from scenarios import Stream
from scenarios.dataset import DataNotFound
from scenarios.datasets import OUTLINES, Outline, load_dataset, outline
from scenarios.validation import Validation, held_out_counts


def _even(classes: int, train: int, test: int, side: int = 224) -> Outline:
    """`train` and `test` images of `side` pixels over `classes`, as many in one as in another (to one)."""
    counts = [tuple(n // classes + (k < n % classes) for k in range(classes)) for n in (train, test)]
    return Outline((3, side, side), counts[0], counts[1], f"{train:,} and {test:,} images, taken as even over classes")


SIZES = OUTLINES | {
    "folder:imagenet-r": _even(200, 24_000, 6_000),
    "folder:imagenet-a": _even(200, 5_981, 1_519),
    "folder:cub200": _even(200, 9_430, 2_358),
    "folder:omnibenchmark": _even(300, 89_697, 5_985),
    "folder:tinyimagenet100": _even(100, 50_000, 5_000, 64),
}


def size_of_stream(stream: Stream, data_root: str | os.PathLike[str] | None = None) -> Outline:
    """The facts of a stream's data: where it holds out a part of the training images, of both parts, the test labels
    unread. Raises as `load_dataset`."""
    if not isinstance(stream, Validation):
        return size_of(stream.data, data_root)
    if stream.data in SIZES:
        facts = SIZES[stream.data]
    else:
        d = load_dataset(stream.data, data_root)
        counts = tuple(torch.bincount(d.train_labels, minlength=d.n_classes).tolist())
        facts = Outline(tuple(d.train_images.shape[1:]), counts, ())
    train = torch.tensor(facts.train)
    test = held_out_counts(train, stream.validation)
    return replace(facts, train=tuple((train - test).tolist()), test=tuple(test.tolist()))


def size_of(name: str, data_root: str | os.PathLike[str] | None = None) -> Outline:
    """The facts of data set `name`, from the data or, where that is not at hand, from SIZES. Raises as `load_dataset`."""
    try:
        return outline(name, data_root)
    except DataNotFound:
        if name in SIZES:
            return SIZES[name]
        raise
