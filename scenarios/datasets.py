"""Real data sets by name: where they are looked for, how they are checked, what they look like."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenarios.dataset import DataNotFound, Dataset
from scenarios.folders import load_tree
from scenarios.nearest import nearest


def data_roots(data_root: str | os.PathLike[str] | None = None) -> list[Path]:
    """Where data is looked for, in this order: `data_root`, else $DATA_ROOT; then ./data."""
    named = data_root or os.environ.get("DATA_ROOT")
    return ([Path(named).expanduser()] if named else []) + [Path("data")]


def load_dataset(name: str, data_root: str | os.PathLike[str] | None = None) -> Dataset:
    """Data set `name`, from disk or, where it has a public source, downloaded with its checksums into ./data.

    Raises ValueError for an unknown name and DataNotFound where the data is not to be had.
    """
    if name not in DATASETS and not in_files(name):
        raise ValueError(f"unknown data set {name!r}{near_data(name)}")
    return _load(name, tuple(root.absolute() for root in data_roots(data_root)))


def near_data(name: str) -> str:
    """What to say of the name of a data set that is none."""
    return nearest(name, DATASETS, f"known: {', '.join(DATASETS)}, {FOLDER}NAME")


def in_files(name: str) -> bool:
    """Whether the images of data set `name` stay in their files."""
    return name in ("imagenet100", "imagenet1000") or (name.startswith(FOLDER) and len(name) > len(FOLDER))


@lru_cache(maxsize=2)
def _load(name: str, roots: tuple[Path, ...]) -> Dataset:
    # Cached by place: a worker that runs many cells reads each data set once.
    if name.startswith(FOLDER):
        return _tree(name, [name.removeprefix(FOLDER)])(roots)
    return DATASETS[name](roots)


def _digits(roots: tuple[Path, ...]) -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8x8, pixels 0..16 (UCI optdigits test part); 3/4 train, 1/4 test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = torch.from_numpy(bunch.images.astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    train, test = train_test_split(np.arange(len(labels)), test_size=0.25, stratify=labels.numpy(), random_state=0)
    train, test = torch.from_numpy(np.sort(train)), torch.from_numpy(np.sort(test))
    return Dataset("digits", images[train], labels[train], images[test], labels[test], 16.0, (0.3052,), (0.3760,))


def _mnist_like(kind: str, mean: float, std: float) -> Callable[[tuple[Path, ...]], Dataset]:
    def load(roots: tuple[Path, ...]) -> Dataset:
        import torchvision.datasets

        files = [f"{kind}/raw/{file}" for file in IDX_FILES]
        root = _find(files, roots)
        if root is None:
            root = roots[-1]
            dataset_class = getattr(torchvision.datasets, kind)
            _download(lambda: dataset_class(root, train=True, download=True), kind, files[0], roots)
        parts = [
            _read(lambda f=f, sha=sha: read_idx(root / f, sha), kind, root)
            for f, sha in zip(files, CHECKSUMS[kind], strict=True)
        ]
        train_images, train_labels, test_images, test_labels = parts
        return Dataset(
            kind.lower(),
            train_images.unsqueeze(1),
            train_labels.long(),
            test_images.unsqueeze(1),
            test_labels.long(),
            255.0,
            (mean,),
            (std,),
        )

    return load


def read_idx(path: Path, sha256: str) -> Tensor:
    """uint8 tensor of an IDX file (LeCun et al. 1998), or of `path`.gz where only that is there.

    Raises ValueError where the unpacked bytes are not those of the published file, whose `sha256` is given.
    """
    data = path.read_bytes() if path.is_file() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(f"{path.name} is not the published file: its sha256 is {found[:12]}..., not {sha256[:12]}...")
    n_dims = data[3]
    shape = np.frombuffer(data, ">i4", n_dims, offset=4).tolist()
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * n_dims).view(shape)


def _cifar(kind: str, base: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Callable[..., Dataset]:
    def load(roots: tuple[Path, ...]) -> Dataset:
        import torchvision.datasets

        dataset_class = getattr(torchvision.datasets, kind)
        root = _find([f"{base}/{file}" for file, _ in dataset_class.train_list + dataset_class.test_list], roots)
        if root is None:
            root = roots[-1]
            _download(lambda: dataset_class(root, train=True, download=True), kind, f"{base}/", roots)
        # torchvision compares the md5 of every file before it opens a pickle
        train, test = (_read(lambda t=t: dataset_class(root, train=t), kind, root) for t in (True, False))

        def chw(images: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))

        return Dataset(
            kind.lower(),
            chw(train.data),
            torch.tensor(train.targets),
            chw(test.data),
            torch.tensor(test.targets),
            255.0,
            mean,
            std,
        )

    return load


def _tree(name: str, folders: list[str], class_list: str | None = None) -> Callable[[tuple[Path, ...]], Dataset]:
    """A tree of class folders in the first of `folders`, under any root, that is whole."""

    def load(roots: tuple[Path, ...]) -> Dataset:
        return load_tree(name, [root / folder for folder in folders for root in roots], class_list)

    return load


def _find(files: list[str], roots: tuple[Path, ...]) -> Path | None:
    """The first root that has every file, itself or gzipped."""
    for root in roots:
        if all((root / file).is_file() or (root / f"{file}.gz").is_file() for file in files):
            return root
    return None


def _read(load: Callable, kind: str, root: Path):
    try:
        return load()
    except Exception as error:
        raise DataNotFound(
            f"{kind} under {root} cannot be read: {error}. Delete it, or name another DATA_ROOT."
        ) from error


def _download(download: Callable, kind: str, file: str, roots: tuple[Path, ...]) -> None:
    try:
        download()
    except Exception as error:
        places = ", ".join(str(root / file) for root in roots)
        raise DataNotFound(
            f"{kind} not found: looked for {places}, and the download failed ({_first_line(error)}). "
            f"Set DATA_ROOT to a torchvision root that has it, or run the suite that needs no data: make bench (digits)."
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@dataclass(frozen=True)
class Outline:
    """What is known of a data set without having it: image_shape (C, H, W), and how many examples each class has.

    about: what of that is not exact.
    """

    image_shape: tuple[int, int, int]
    train: tuple[int, ...]
    test: tuple[int, ...]
    about: str = ""


def outline(name: str, data_root: str | os.PathLike[str] | None = None) -> Outline:
    """The facts of data set `name`: from OUTLINES, else from the data itself. Raises as `load_dataset`."""
    if name in OUTLINES:
        return OUTLINES[name]
    d = load_dataset(name, data_root)
    train, test = (tuple(torch.bincount(y, minlength=d.n_classes).tolist()) for y in (d.train_labels, d.test_labels))
    _, channels, height, width = d.train_images.shape
    return Outline((channels, height, width), train, test)


IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

CHECKSUMS = {
    "MNIST": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "FashionMNIST": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
"""sha256 of the unpacked IDX_FILES, whose gzipped forms have the md5 that torchvision lists."""

FOLDER = "folder:"
"""folder:NAME is the tree of class folders NAME/{train,val}/CLASS/ under DATA_ROOT, whatever its classes are."""

DATASETS: dict[str, Callable[[tuple[Path, ...]], Dataset]] = {
    "digits": _digits,
    "mnist": _mnist_like("MNIST", 0.1307, 0.3081),
    "fashionmnist": _mnist_like("FashionMNIST", 0.2860, 0.3530),
    "cifar10": _cifar("CIFAR10", "cifar-10-batches-py", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": _cifar("CIFAR100", "cifar-100-python", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet100": _tree("imagenet100", ["imagenet100", "imagenet"], "imagenet100_wnids"),
    "imagenet1000": _tree("imagenet1000", ["imagenet"], "imagenet1000_wnids"),
}

OUTLINES: dict[str, Outline] = {
    "mnist": Outline(
        (1, 28, 28),
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    ),
    "fashionmnist": Outline((1, 28, 28), (6000,) * 10, (1000,) * 10),
    "cifar10": Outline((3, 32, 32), (5000,) * 10, (1000,) * 10),
    "cifar100": Outline((3, 32, 32), (500,) * 100, (100,) * 100),
    "imagenet100": Outline((3, 224, 224), (1300,) * 100, (50,) * 100, "classes have 732 to 1,300 images; 1,300"),
    "imagenet1000": Outline((3, 224, 224), (1281,) * 1000, (50,) * 1000, "classes have 732 to 1,300 images; 1,281"),
}
"""Of data sets that must be fetched: what `cost` counts with where they are not at hand, and what it needs no copy for."""
