"""`data`: whether data sets are there, whole, and what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.request.errors import SettingsError
from scenarios import DATASETS, CorruptImage, DataNotFound, ImageFiles, load_dataset
from scenarios.datasets import in_files, near_data
from scenarios.image_transform import read_image


def check_data(names: list[str], data_root: str | None, decode: bool) -> Iterator[tuple[bool, str]]:
    """(whole, line) for each of `names`, and with `decode` for each file that cannot be decoded.

    Raises SettingsError for unknown names. Data sets with a public source are downloaded as for a run.
    """
    unknown = [n for n in names if n not in DATASETS and not in_files(n)]
    if unknown:
        raise SettingsError([f"unknown data set {n!r}{near_data(n)}" for n in unknown])
    for name in names:
        try:
            dataset = load_dataset(name, data_root)
        except DataNotFound as error:
            yield False, str(error)
            continue
        yield (
            True,
            f"{name}: {len(dataset.train_labels)} training and {len(dataset.test_labels)} test images of "
            f"{dataset.n_classes} classes, checksum {dataset.checksum}",
        )
        if decode and isinstance(dataset.train_images, ImageFiles):
            yield from _decode_all(name, dataset.train_images, dataset.test_images)


def _decode_all(name: str, *parts: ImageFiles) -> Iterator[tuple[bool, str]]:
    paths = [part.path(i) for part in parts for i in range(len(part))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [problem for problem in pool.map(_problem, paths) if problem]
    yield from ((False, f"  {problem}") for problem in problems)
    yield (
        not problems,
        f"{name}: {len(problems) or 'none'} of {len(paths)} files cannot be decoded",
    )


def _problem(path: Path) -> str | None:
    try:
        read_image(path)
    except CorruptImage as error:
        return str(error)
    return None
