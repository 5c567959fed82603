"""A run that was stopped continues from its last finished task, and ends as if it had not been stopped."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from benchmarks.cell.fit import Trainer
from benchmarks.cell.state import NotStored, decode, encode, modules_of, read_state, write_state
from benchmarks.records.store import previous_checkpoint
from benchmarks.request.source import source_of_cell
from benchmarks.request.suite import CellSettings
from methods import Method, method_class
from metrics import AccuracyMatrix
from metrics.flops import Flops
from models import ranks
from scenarios import Scenario

VERSION = 2


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


def save_checkpoint(path: Path, cell: CellSettings, scenario: Scenario, progress: Progress, device: str) -> None:
    """Writes all of `progress` and the states of torch's generators under `path`; what was there becomes the previous.

    A run that cannot be stored (no room, a method of classes that a file may not name) goes on, a warning says so, and
    the checkpoints that there are stay.
    """
    if ranks.rank():
        return
    generators = {"cpu": torch.get_rng_state()}
    if device.startswith("cuda"):
        generators["device"] = torch.cuda.get_rng_state(device)
    try:
        own = modules_of(method_class(cell.method.name))
        state = encode({"progress": progress, "generators": generators}, own)
        write_state(path, _key(cell, scenario, device) | state, previous_checkpoint(path))
    except Exception as error:
        warnings.warn(f"{cell.label}: no checkpoint after {progress.done} tasks: {error}", stacklevel=2)


def load_checkpoint(path: Path, cell: CellSettings, scenario: Scenario, device: str) -> Progress | None:
    """The progress stored under `path`, else the previous, the generators set to where they were.

    None where there is neither, and where they are of other settings, code, data or kind of device: going on from there
    would not be the run that was asked for. A warning names each file that is not used and why; a broken one is set
    aside under the suffix .broken.pt. Raises OSError where one may be good but cannot be read, and torch's errors of a
    device that fails: tried again, the run may go on.
    """
    unread = None
    for file in (path, previous_checkpoint(path)):
        try:
            return _loaded(file, cell, scenario, device)
        except FileNotFoundError:
            continue
        except _Other as error:
            what = f"{error}; not used"
        except OSError as error:
            unread, what = error, f"cannot be read: {error.strerror or error}"
        except ValueError as error:
            what = f"{error}; set aside as {_set_aside(file, path).name}"
        warnings.warn(f"{cell.label}: checkpoint {file}: {what}", stacklevel=2)
    if unread is not None:
        raise unread
    return None


class _Other(Exception):
    """A whole checkpoint, but of another run; the message says what differs."""


def _loaded(file: Path, cell: CellSettings, scenario: Scenario, device: str) -> Progress:
    """Raises FileNotFoundError, OSError, ValueError where the file is broken, or _Other."""
    document, key = read_state(file), _key(cell, scenario, device)
    differing = [n for n, v in key.items() if type(document.get(n)) is not type(v) or document[n] != v]
    if differing:
        raise _Other(f"of another run, with other {', '.join(differing)}")
    cls = method_class(cell.method.name)
    stored = decode(document, modules_of(cls), scenario.image_files, device)
    try:
        progress, generators = stored["progress"], stored["generators"]
        whole = type(progress) is Progress and vars(progress).keys() == {f.name for f in fields(Progress)}
        if not whole or type(progress.method) is not cls:
            raise NotStored(f"it holds no progress of {cls.__name__}")
        tasks, rows = len(scenario.tasks), tuple(range(progress.done + 1))
        if not 0 < progress.done < tasks or any(
            (m.n_tasks, m.recorded) != (tasks, rows) for m in (progress.matrix, progress.other)
        ):
            raise NotStored(f"its matrix is not that of {progress.done} of {tasks} tasks")
        progress.method.device = torch.device(device)
        torch.set_rng_state(generators["cpu"])
    except (LookupError, AttributeError, TypeError, RuntimeError) as error:
        raise NotStored(f"not of the right shape: {type(error).__name__}: {error}") from error
    if device.startswith("cuda"):
        torch.cuda.set_rng_state(generators["device"], device)
    return progress


def _set_aside(file: Path, path: Path) -> Path:
    """Renames a broken file of the cell whose checkpoint is `path`; the last one is kept."""
    aside = path.with_suffix(".broken.pt")
    if not ranks.rank():
        os.replace(file, aside)
    return aside


def _key(cell: CellSettings, scenario: Scenario, device: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "identity": cell.identity,
        "data": scenario.manifest.get("data_checksum"),
        "source": source_of_cell(cell),
        "torch": str(torch.__version__),
        "processes": ranks.world(),
        "threads": torch.get_num_threads(),
        "device": device.split(":")[0],
    }
