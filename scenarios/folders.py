"""Data sets on disk as trees of class folders: root/{train,val}/CLASS/*.JPEG, checked before anything is trained."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from scenarios.dataset import DataNotFound, Dataset
from scenarios.image_files import FileList, ImageFiles
from scenarios.image_transform import IMAGENET_MEAN, IMAGENET_STD

EXTENSIONS = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".ppm")
"""Of image files, in any case; other files in a class folder are passed over (ImageNet has none)."""

CLASS_LISTS = Path(__file__).parent / "class_lists"
PARTS = ("train", "val")
SHOWN = 20


@dataclass
class Scan:
    """What a tree holds: per part, class and file; `problems`, a line each that names the folder or file."""

    files: dict[str, list[list[tuple[str, int]]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def load_tree(name: str, places: list[Path], class_list: str | None = None) -> Dataset:
    """Data set `name` from the first of `places` that has all its classes, whole; labels follow the class list.

    class_list: a file of class_lists/ by name. Without one, the tree's own classes.txt (the first word of each
    line), else the sorted folders of its training part. Images stay in their files. Raises DataNotFound, which
    names every missing or empty folder and every empty file of the first place that exists.
    """
    found = [place for place in places if place.is_dir()]
    if not found:
        looked = ", ".join(str(place / "train") for place in places)
        raise DataNotFound(
            f"{name} not found: looked for {looked}. Set DATA_ROOT to the folder that has "
            f"{places[0].name}/train/CLASS/*.JPEG and {places[0].name}/val/CLASS/*.JPEG."
        )
    first: Scan | None = None
    for place in found:
        classes = read_classes(place, class_list)
        scan = scan_tree(place, classes)
        if not scan.problems:
            return _dataset(name, place, classes, scan)
        first = first or scan
    assert first is not None
    problems = first.problems
    more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    hint = f"\nTo use the tree with the classes that it has: data: folder:{found[0].name}" if class_list else ""
    raise DataNotFound("\n  ".join([f"{name} under {found[0]} is not whole:", *problems[:SHOWN], *more]) + hint)


def read_classes(root: Path, class_list: str | None = None) -> list[str]:
    """The class folders in the order of their labels (see `load_tree`). Raises DataNotFound where there are none."""
    path = CLASS_LISTS / f"{class_list}.txt" if class_list else root / "classes.txt"
    if path.is_file():
        classes = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
        twice = sorted({c for c in classes if classes.count(c) > 1})
        if twice:
            raise DataNotFound(f"{path} names {', '.join(twice[:5])} more than once")
        if classes:
            return classes
        raise DataNotFound(f"{path} names no class")
    classes = _class_folders(root / PARTS[0])
    if not classes:
        raise DataNotFound(f"{root / PARTS[0]} has no class folders")
    extra = sorted(set(_class_folders(root / PARTS[1])) - set(classes))
    if extra:
        raise DataNotFound(
            f"{root} is not whole: {PARTS[1]}/ has classes that {PARTS[0]}/ has not: {', '.join(extra[:SHOWN])}. Add their "
            f"folders, or name the classes that are meant in {root / 'classes.txt'}, one a line."
        )
    return classes


def scan_tree(root: Path, classes: list[str]) -> Scan:
    """Lists the image files of each class with their sizes, in the order of their names; opens none."""
    scan = Scan()
    for part in PARTS:
        scan.files[part] = []
        if not (root / part).is_dir():
            scan.problems.append(f"missing folder {root / part}")
            continue
        for name in classes:
            scan.files[part].append(_class_files(root, f"{part}/{name}", scan.problems))
    return scan


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")


def _class_files(root: Path, folder: str, problems: list[str]) -> list[tuple[str, int]]:
    """(path relative to root, bytes) of the images in `folder` and below; what is wrong is added to `problems`."""
    if not (root / folder).is_dir():
        problems.append(f"missing class folder {root / folder}")
        return []
    files, others, folders = [], 0, [folder]
    top = os.path.realpath(root / folder)
    seen = {top}
    while folders:
        here = folders.pop()
        for entry in os.scandir(root / here):
            path = f"{here}/{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real in seen or top.startswith(real + os.sep):
                    problems.append(f"folder that is read already, by another link or from above: {root / path}")
                    continue
                seen.add(real)
                folders.append(path)
            elif not entry.name.lower().endswith(EXTENSIONS):
                others += 1
            elif not entry.is_file():  # follows links
                problems.append(f"broken link {root / path}" if entry.is_symlink() else f"no file: {root / path}")
            else:
                files.append((path, entry.stat().st_size))
    if not files:
        only = f" ({others} other files; images end in {', '.join(EXTENSIONS)})" if others else ""
        problems.append(f"empty class: no image in {root / folder}{only}")
    problems.extend(f"empty file {root / path}" for path, size in files if size == 0)
    return sorted(files)


def _dataset(name: str, root: Path, classes: list[str], scan: Scan) -> Dataset:
    every = [file for part in PARTS for files in scan.files[part] for file in files]
    listing = FileList(
        root,
        np.array([os.fsencode(path) for path, _ in every]),  # bytes of one width: 46 MB for ImageNet, shared by workers
        torch.tensor([size for _, size in every]),
    )
    counts = [torch.tensor([len(files) for files in scan.files[part]]) for part in PARTS]
    labels = [torch.arange(len(classes)).repeat_interleave(n) for n in counts]
    n_train = len(labels[0])
    return Dataset(
        name,
        ImageFiles(listing, torch.arange(n_train)),
        labels[0],
        ImageFiles(listing, torch.arange(n_train, len(every))),
        labels[1],
        255.0,
        IMAGENET_MEAN,
        IMAGENET_STD,
    )
