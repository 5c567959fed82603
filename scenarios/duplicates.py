"""Images that a data set holds more than once: the same pixels or, of image files, the same bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from scenarios.dataset import Dataset
from scenarios.image_files import ImageFiles

PARTS = ("train", "test")


@dataclass(frozen=True)
class Group:
    """Images that are equal: (part, row, label) of each, part being train or test."""

    images: tuple[tuple[str, int, int], ...]

    @property
    def labels(self) -> set[int]:
        return {label for _, _, label in self.images}

    @property
    def parts(self) -> set[str]:
        return {part for part, _, _ in self.images}


def duplicates(data: Dataset) -> list[Group]:
    """All groups of two or more equal images, in training, in test or across. Reads every image file once."""
    keys = np.concatenate([_keys(data.train_images), _keys(data.test_images)])
    labels = torch.cat([data.train_labels, data.test_labels]).numpy()
    _, group, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(sizes[group] > 1)
    rows = rows[np.argsort(group[rows], kind="stable")]
    n_train = len(data.train_labels)
    found = []
    for members in np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1) if len(rows) else []:
        found.append(Group(tuple(_place(row, n_train, labels) for row in members.tolist())))
    return sorted(found, key=lambda g: g.images)


def _place(row: int, n_train: int, labels: np.ndarray) -> tuple[str, int, int]:
    later = row >= n_train
    return PARTS[later], row - n_train if later else row, int(labels[row])


def _keys(images) -> np.ndarray:
    """What is equal for equal images, an entry each."""
    if isinstance(images, ImageFiles):
        paths = [images.path(i) for i in range(len(images))]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.array(list(pool.map(_checksum, paths)), dtype="V32")
    rows = np.ascontiguousarray(images.numpy()).reshape(len(images), -1)
    return np.array([hashlib.sha256(row.data).digest() for row in rows], dtype="V32")


def _checksum(path: Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def of_two_classes(groups: Sequence[Group]) -> list[Group]:
    """Those whose images have more than one label."""
    return [group for group in groups if len(group.labels) > 1]


def across(groups: Sequence[Group]) -> list[Group]:
    """Those of which some are for training and some for the test."""
    return [group for group in groups if len(group.parts) > 1]
