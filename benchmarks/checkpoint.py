"""A run that was stopped continues from its last finished task, and ends as if it had not been stopped."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.config import CellSettings
from benchmarks.fit import Trainer
from benchmarks.source import source_of_cell
from benchmarks.whole_files import written_whole
from methods import Method
from metrics import AccuracyMatrix
from metrics.flops import Flops
from models import ranks

VERSION = 1


@dataclass
class Progress:
    """What a cell has come to after `done` tasks. seconds: by part, up to now; the lists hold an entry a task."""

    matrix: AccuracyMatrix
    other: AccuracyMatrix
    method: Method | None = None
    trainer: Trainer = field(default_factory=Trainer)
    parameters: list[dict[str, int]] = field(default_factory=list)
    inference: list[Flops] = field(default_factory=list)
    stored: list[dict[str, int]] = field(default_factory=list)
    diagnostics: list[dict[str, float]] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    done: int = 0

    @classmethod
    def of_tasks(cls, n: int) -> Progress:
        """Before the first of n tasks."""
        return cls(AccuracyMatrix(n), AccuracyMatrix(n))


def save_checkpoint(path: Path, cell: CellSettings, progress: Progress, device: str) -> None:
    """Writes all of `progress` and the states of torch's generators under `path`, whole or not at all.

    A run that cannot be stored (no room, a method that cannot be pickled) goes on without, and a warning says so.
    """
    if ranks.rank():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    document = _key(cell, device) | {"progress": progress, "generator": torch.get_rng_state()}
    if device.startswith("cuda"):
        document["device generator"] = torch.cuda.get_rng_state(device)
    try:
        with written_whole(path) as temporary:
            torch.save(document, temporary)
    except Exception as error:
        path.unlink(missing_ok=True)
        warnings.warn(f"{cell.label}: no checkpoint after {progress.done} tasks: {error}", stacklevel=2)


def load_checkpoint(path: Path, cell: CellSettings, device: str) -> Progress | None:
    """The progress stored under `path`, the generators set to where they were.

    None where there is no such file, where it is broken, and where it is of other settings, code or kind of device:
    going on from there would not be the run that was asked for.
    """

    def place(storage: Any, location: str) -> Any:
        return storage.cuda(torch.device(device).index) if location.startswith("cuda") else storage

    try:
        document = torch.load(path, map_location=place, weights_only=False)
    except (OSError, EOFError, RuntimeError, AttributeError, ImportError, pickle.UnpicklingError, zipfile.BadZipFile):
        return None
    if any(document.get(name) != value for name, value in _key(cell, device).items()):
        return None
    progress: Progress = document["progress"]
    assert progress.method is not None, "nothing is saved before the first task"
    progress.method.device = torch.device(device)
    torch.set_rng_state(document["generator"])
    if device.startswith("cuda"):
        torch.cuda.set_rng_state(document["device generator"], device)
    return progress


def _key(cell: CellSettings, device: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "identity": cell.identity,
        "source": source_of_cell(cell),
        "torch": torch.__version__,
        "processes": ranks.world(),
        "threads": torch.get_num_threads(),
        "device": device.split(":")[0],
    }
