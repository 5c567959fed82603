"""Images that do not fit in memory: arrays of paths, decoded when a batch is made ready."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from scenarios.child_process import end_with_parent
from scenarios.image_transform import ImageTransform, compose, pixels_at_test, pixels_in_training, read_image

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class FileList:
    """The image files under `root`: paths bytes [M], relative to it; sizes int64 [M], bytes."""

    root: Path
    paths: np.ndarray = field(repr=False)
    sizes: Tensor = field(repr=False)

    @cached_property
    def checksum(self) -> str:
        """sha256 (16 hex digits) over the paths and sizes: the same for the same tree, wherever its root is."""
        return hashlib.sha256(self.paths.tobytes() + self.sizes.numpy().tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """N images of which only the rows in a list of files are held; stands where uint8 [N, 3, S, S] would.

    It can be selected from, concatenated, put on a device and stored in a buffer as such a tensor can, at 8 bytes
    an image. `decode` makes it one: with the test transform, or with `seed` augmented for training. `device` is
    where decoded pixels go; the rows stay on the CPU.
    """

    files: FileList
    rows: Tensor
    transform: ImageTransform = field(default_factory=ImageTransform)
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """Of the decoded images: [N, 3, S, S]."""
        return torch.Size((len(self), 3, self.transform.image_size, self.transform.image_size))

    @property
    def nbytes(self) -> int:
        """Bytes of the files: what it takes to store these images as they are."""
        return int(self.files.sizes[self.rows].sum())

    def path(self, i: int) -> Path:
        return self.files.root / os.fsdecode(self.files.paths[self.rows[i]])

    def __getitem__(self, rows: Tensor | slice) -> ImageFiles:
        return replace(self, rows=self.rows[_here(rows)])

    def __setitem__(self, rows: Tensor | slice, images: ImageFiles) -> None:
        """As for tensors, for the store of a buffer; selections are copies, so no data set changes with it."""
        if images.files is not self.files:
            raise ValueError(f"files under {images.files.root} cannot be stored among those under {self.files.root}")
        self.rows[_here(rows)] = images.rows

    def index_select(self, dim: int, rows: Tensor) -> ImageFiles:
        if dim != 0:
            raise ValueError(f"image files are selected by row (dim 0), not by dim {dim}")
        return self[rows]

    def new_empty(self, n: int, *shape: int) -> ImageFiles:
        """Room for `n` images of the same list of files; nothing may be read from a place before it is set."""
        return replace(self, rows=torch.zeros(n, dtype=torch.int64))

    def to(self, device: torch.device | str) -> ImageFiles:
        """The same files, decoded onto `device`."""
        return replace(self, device=torch.device(device))

    @staticmethod
    def concatenate(parts: Sequence[ImageFiles]) -> ImageFiles:
        if any(p.files is not parts[0].files for p in parts):
            raise ValueError("image files of different data sets cannot be concatenated")
        return replace(parts[0], rows=torch.cat([p.rows for p in parts]))

    def decode(self, seed: int | None = None, positions: Sequence[int] | None = None) -> Tensor:
        """uint8 [N, 3, S, S] on `device`: by the test transform, or, with `seed`, augmented for training.

        Image k draws from (seed, positions[k]), positions being 0..N-1 unless given. Reading files is spread over
        `data_workers()` threads (Pillow and torchcodec release the interpreter). Raises CorruptImage.
        """
        if len(self) == 0:
            return torch.empty(self.shape, dtype=torch.uint8, device=self.device)
        paths = [self.path(i) for i in range(len(self))]
        if seed is None:
            pixels = _each(lambda path: pixels_at_test(path, self.transform), paths)
        else:
            # only reading is parallel: the transforms draw from the process's global generators
            images = _each(read_image, paths)
            pixels = pixels_in_training(
                images, self.transform, seed, range(len(self)) if positions is None else positions
            )
        return torch.stack(pixels).to(self.device)


Images: TypeAlias = Any
"""uint8 [N, C, H, W] in memory (Tensor), or the files that they are in (ImageFiles).

Not a union for the type checker: nearly all code treats the two alike, and it would ask for the difference.
"""


def data_workers() -> int:
    """Processes that decode a phase's batches ahead, and threads that decode others: $DATA_WORKERS.

    Without it: on a machine with a GPU a share of the cores for each, at most 16; else 0, since cells then use the
    cores. Their number decides the time only, never a result. Raises ValueError for what is no number.
    """
    told = os.environ.get("DATA_WORKERS", "")
    if told:
        if not told.isdigit():
            raise ValueError(f"DATA_WORKERS={told!r}: give a number of worker processes, 0 for none")
        return int(told)
    if not torch.cuda.is_available():
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(16, max(1, cores // torch.cuda.device_count() - 1))


def decode_ahead(
    images: ImageFiles, batches: Iterable[tuple[int, Tensor]], workers: int | None = None, ahead: int = 2
) -> Iterator[Tensor]:
    """Yields, for each (seed, rows) of `batches`, images[rows] decoded for training: uint8 [n, 3, S, S].

    Worker processes of one torch DataLoader stay `ahead` batches each ahead of the reader, over epochs too, for
    `batches` is read as they need it. The image at row r draws from (seed, r), and where it stands there several times
    in a row, each time anew: the number of workers changes nothing. They end when the iterator is closed. Raises CorruptImage as it comes up.
    """
    workers = data_workers() if workers is None else workers
    compose(images.transform, True)  # here once, not in every worker: importing timm takes seconds
    settings: dict = {"prefetch_factor": ahead} if workers else {}
    if workers and sys.platform == "linux":
        settings["multiprocessing_context"] = "fork"  # they never touch a GPU, and need not import torch and timm anew
    loader = torch.utils.data.DataLoader(
        _Decoded(images.to("cpu")),
        batch_size=None,
        sampler=_Once(batches),
        num_workers=workers,
        worker_init_fn=end_with_parent,
        pin_memory=images.device.type == "cuda",
        generator=torch.Generator(),  # without its own, it would draw from the generator that methods use
        **settings,
    )
    for pixels in loader:
        yield pixels.to(images.device, non_blocking=True)


class _Decoded(torch.utils.data.Dataset):
    """A batch at a time: (seed, rows) -> pixels."""

    def __init__(self, images: ImageFiles):
        self.images = images

    def __getitem__(self, batch: tuple[int, Tensor]) -> Tensor:
        seed, rows = batch
        return self.images[rows].decode(seed, (rows + len(self.images) * repeats(rows)).tolist())


def repeats(rows: Tensor) -> Tensor:
    """How often each of `rows` [n] stands directly before itself: 7 7 7 3 3 9 -> 0 1 2 0 1 0."""
    place = torch.arange(len(rows))
    begins = torch.cat([torch.ones(len(rows[:1]), dtype=torch.bool), rows[1:] != rows[:-1]])
    return place - torch.where(begins, place, 0).cummax(0).values if len(rows) else place


class _Once(torch.utils.data.Sampler):
    """Batches in the order in which they are given, read lazily."""

    def __init__(self, batches: Iterable[tuple[int, Tensor]]):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


@lru_cache(maxsize=4)
def decode_once(images: ImageFiles, transform: ImageTransform) -> Tensor:
    """All of `images` by the test transform, uint8 [N, 3, S, S] in memory; kept for the next cell of the process.

    Raises ValueError where they would take more than half of the memory that is free, and CorruptImage.
    """
    images = replace(images, transform=transform)
    needed, free = math.prod(images.shape), free_memory()
    if needed > free / 2:
        raise ValueError(
            f"decode: once needs {needed / 1e9:.1f} GB for {len(images)} images of {transform.image_size} pixels, and "
            f"{free / 1e9:.1f} GB are free (half of it may be used); leave it out, or use smaller images"
        )
    pixels = torch.empty(images.shape, dtype=torch.uint8)
    for rows in torch.arange(len(images)).split(1024):
        pixels[rows] = images[rows].decode()
    return pixels


def free_memory() -> float:
    """Bytes that a process may still take on this machine; endless where the system does not tell."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return math.inf


def _each(work, paths: list[Path]) -> list:
    """`work` for each path, in order, by threads where there are some and this is not itself a worker."""
    threads = data_workers()
    if threads < 2 or torch.utils.data.get_worker_info() is not None:
        return [work(path) for path in paths]
    return list(_pool(threads).map(work, paths))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="decode")


def _here(rows: Tensor | slice) -> Tensor | slice:
    return rows if isinstance(rows, slice) else rows.cpu()
