"""What a data set is, once it is found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from scenarios.image_files import ImageFiles, Images


class DataNotFound(FileNotFoundError):
    """A data set is neither on disk nor to be downloaded; the message names files, places and the way out."""


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [N, C, H, W], or files of them, and labels int64 [N], training and test; mean and std of
    pixel / scale."""

    name: str
    train_images: Images
    train_labels: Tensor
    test_images: Images
    test_labels: Tensor
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def n_classes(self) -> int:
        return int(self.train_labels.max()) + 1

    @cached_property
    def checksum(self) -> str:
        """sha256 (16 hex digits) over all pixels and labels, to tell two copies of a data set apart.

        Of files, over their names and sizes: reading all of ImageNet would take longer than many a run.
        """
        digest = hashlib.sha256()
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            if isinstance(part, ImageFiles):
                digest.update(part.files.paths[part.rows].tobytes() + part.files.sizes[part.rows].numpy().tobytes())
            else:
                digest.update(part.numpy().tobytes())
        return digest.hexdigest()[:16]
