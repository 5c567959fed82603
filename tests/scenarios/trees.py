"""Small trees of real photographs: crops of scikit-learn's two sample images, saved as JPEG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

SIZES = {"train": 6, "val": 3}


def photo_tree(root: Path, classes: tuple[str, ...] = ("n01", "n02", "n03", "n04")) -> Path:
    """root/{train,val}/CLASS/N.JPEG, each a different crop of about 60 x 50 pixels; returns `root`."""
    photographs = load_sample_images().images
    generator = np.random.default_rng(0)
    for part, n in SIZES.items():
        for k, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                top, left = generator.integers(0, 370), 150 * (k % 4) + generator.integers(0, 90)
                crop = photographs[k % 2][top : top + 50 + i, left : left + 60]
                Image.fromarray(crop).save(folder / f"{i}.JPEG", quality=90)
    return root
