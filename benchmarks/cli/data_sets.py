"""`data`: whether data sets are there, whole, and what they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from benchmarks.cli.contact_sheet import contact_sheet
from benchmarks.request.errors import SettingsError
from scenarios import DATASETS, CorruptImage, DataNotFound, ImageFiles, OwnData, load_dataset
from scenarios.dataset import Dataset
from scenarios.datasets import in_files, near_data
from scenarios.duplicates import Group, across, duplicates, of_two_classes
from scenarios.image_transform import read_image
from scenarios.own_names import FORMS, is_own, offer, with_hint

MOST_BYTES = 4 * 2**30
"""Of image files that are read without being asked to, for their checksums."""
SHOWN = 10
"""Groups of equal images that are named."""
MOST_CLASSES = 100
"""Classes that have a line each."""


def check_data(
    names: list[str], data_root: str | None, decode: bool, results_dir: Path = Path("results")
) -> Iterator[tuple[bool, str]]:
    """(whole, line) for what each of `names` holds, and with `decode` for each file that cannot be decoded.

    Ten pictures of each class go to `results_dir`/data/NAME.png. Raises SettingsError for unknown names. Data sets with a
    public source are downloaded as for a run.
    """
    for name in names:
        offer(name)
    unknown = [n for n in names if n not in DATASETS and not in_files(n)]
    if unknown:
        raise SettingsError([f"unknown data set {n!r}{near_data(n)}; {FORMS}" for n in unknown])
    for name in names:
        try:
            dataset = load_dataset(name, data_root)
        except DataNotFound as error:
            yield False, with_hint(error, name, data_root)
            continue
        yield from _contents(name, dataset)
        yield from _equal_images(dataset, decode)
        yield _pictures(name, dataset, results_dir)
        if decode and isinstance(dataset.train_images, ImageFiles):
            yield from _decode_all(name, dataset.train_images, dataset.test_images)


def class_names(data: Dataset) -> list[str]:
    """The name of each class: of data of one's own as given, of image files their folder, else its number."""
    numbers = [str(label) for label in range(data.n_classes)]
    if isinstance(data, OwnData):
        return list(data.class_names)
    if isinstance(data.train_images, ImageFiles):
        first = torch.searchsorted(data.train_labels, torch.arange(data.n_classes))  # files come class by class
        return [data.train_images.path(int(row)).relative_to(data.train_images.files.root).parts[1] for row in first]
    return numbers


def _contents(name: str, data: Dataset) -> Iterator[tuple[bool, str]]:
    yield (
        True,
        f"{name}: {len(data.train_labels)} training and {len(data.test_labels)} test images of "
        f"{data.n_classes} classes, checksum {data.checksum}",
    )
    numbers = ", ".join(f"{m:.4g}" for m in data.mean[:3]) + (", ..." if len(data.mean) > 3 else "")
    stds = ", ".join(f"{s:.4g}" for s in data.std[:3]) + (", ..." if len(data.std) > 3 else "")
    if isinstance(data.train_images, ImageFiles):
        shape = "image files, decoded when they are needed"
    else:
        shape = f"{str(data.train_images.dtype).removeprefix('torch.')}, {' x '.join(map(str, data.train_images.shape[1:]))}"
    divided = f" of pixels / {data.scale:g}" if data.scale != 1 else ""
    yield True, f"  images: {shape}; mean{divided} {numbers}, std {stds}"
    yield from ((True, f"  {line}") for line in _counts(data))


def _counts(data: Dataset) -> Iterator[str]:
    train, test = (torch.bincount(y, minlength=data.n_classes).tolist() for y in (data.train_labels, data.test_labels))
    names, pairs = class_names(data), list(zip(train, test, strict=True))
    tasks = data.tasks if isinstance(data, OwnData) and data.tasks else (tuple(range(data.n_classes)),)
    for t, labels in enumerate(tasks):
        where = f"task {t + 1}, " if len(tasks) > 1 else ""
        counts = {pairs[label] for label in labels}
        if len(counts) == 1:
            n, m = counts.pop()
            yield f"{where}each class: {n:,} training and {m:,} test images"
            continue
        for label in labels[:MOST_CLASSES]:
            yield f"{where}class {names[label]}: {pairs[label][0]:,} training and {pairs[label][1]:,} test images"
        rest = labels[MOST_CLASSES:]
        if rest:
            sizes = [(min(c), max(c)) for c in zip(*(pairs[label] for label in rest), strict=True)]
            (a, b), (c, d) = sizes
            yield f"{where}{len(rest)} more classes: {a:,} to {b:,} training and {c:,} to {d:,} test images each"


def _equal_images(data: Dataset, asked: bool) -> Iterator[tuple[bool, str]]:
    """What is there twice. It is told and nothing more: published data sets have such images too."""
    images = (data.train_images, data.test_images)
    size = sum(part.nbytes for part in images)
    if isinstance(images[0], ImageFiles) and size > MOST_BYTES and not asked:
        yield True, f"  equal images: not looked for, with {size / 2**30:.0f} GiB of files to read; --decode does"
        return
    groups = duplicates(data)
    if not groups:
        yield True, "  equal images: none, within or between training and test"
        return
    within = [sum(group.parts == {part} for group in groups) for part in ("train", "test")]
    yield (
        True,
        f"  equal images: {len(groups)} groups, {within[0]} within training, {within[1]} within test, "
        f"{len(across(groups))} between training and test; {len(of_two_classes(groups))} under more than one class",
    )
    telling = sorted(groups, key=lambda g: -(len(g.labels) > 1) - 2 * (len(g.parts) > 1))
    for group in telling[:SHOWN]:
        yield True, f"    {_members(data, group)}"
    if len(groups) > SHOWN:
        yield True, f"    ... and {len(groups) - SHOWN} more groups"


def _members(data: Dataset, group: Group) -> str:
    parts = {"train": data.train_images, "test": data.test_images}
    names = class_names(data)

    def said(part: str, row: int, label: int) -> str:
        images = parts[part]
        if isinstance(images, ImageFiles):
            return str(images.path(row).relative_to(images.files.root))
        return f"{part} {row} (class {names[label]})"

    return " = ".join(said(*image) for image in group.images[:SHOWN]) + (" = ..." if len(group.images) > SHOWN else "")


def _pictures(name: str, data: Dataset, results_dir: Path) -> tuple[bool, str]:
    stem = re.sub(r"[^\w.-]+", "-", Path(name).name if is_own(name) else name.replace("folder:", "")).strip("-.")
    try:
        return True, f"  pictures: {contact_sheet(data, class_names(data), results_dir / 'data' / f'{stem}.png')}"
    except ValueError as error:
        return True, f"  pictures: {error}"
    except CorruptImage as error:
        return False, f"  {error}"


def _decode_all(name: str, *parts: ImageFiles) -> Iterator[tuple[bool, str]]:
    paths = [part.path(i) for part in parts for i in range(len(part))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems: Sequence[str] = [problem for problem in pool.map(_problem, paths) if problem]
    yield from ((False, f"  {problem}") for problem in problems)
    yield (
        not problems,
        f"{name}: {len(problems)} of {len(paths)} files cannot be decoded"
        if problems
        else f"{name}: all {len(paths)} files can be decoded",
    )


def _problem(path: Path) -> str | None:
    try:
        read_image(path)
    except CorruptImage as error:
        return str(error)
    return None
