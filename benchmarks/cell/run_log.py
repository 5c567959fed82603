"""What a run leaves beside its record, where asked for: its settings, a line an epoch, the method after each task."""

from __future__ import annotations

import csv
import warnings
from dataclasses import astuple, fields
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml

from benchmarks.cell.callbacks import Callbacks, Epoch
from benchmarks.cell.state import NotStored, decode, encode, modules_of, read_state, write_state
from benchmarks.request.suite import CellSettings
from methods import METHODS, Method
from scenarios import Scenario

if TYPE_CHECKING:
    from benchmarks.cell.checkpoint import Progress


class RunLog(Callbacks):
    """The folder of one cell.

    settings.yaml: all that decides its result. epochs.csv: a line an epoch, written as it ends. accuracies.csv: a line
    before the first task and after each, with the accuracy on every task, empty where it was not evaluated. log.txt: how
    far it has come, for who looks on (`say`). task1.pt, task2.pt, ...: the method after each task, for `load_method`.
    """

    def __init__(self, folder: Path, cell: CellSettings):
        self.folder = folder
        self.settings = {
            "scenario_name": cell.scenario_name,
            "method_name": cell.method_name,
        } | cell.identity_settings()

    def start(self, progress: Progress) -> None:
        """What a stopped run wrote of tasks to come goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "settings.yaml").write_text(yaml.safe_dump(self.settings, sort_keys=False))
        lines = []
        if self._epochs.exists():
            with open(self._epochs, newline="") as file:
                lines = [line for line in csv.DictReader(file) if int(line["task"]) <= progress.done]
        with open(self._epochs, "w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
        self._write_accuracies(progress)
        for path in self.folder.glob("task*.pt"):
            if int(path.stem.removeprefix("task")) > progress.done:
                path.unlink()

    def epoch(self, epoch: Epoch) -> None:
        with open(self._epochs, "a", newline="") as file:
            values = [f"{v:.6g}" if isinstance(v, float) else v for v in astuple(epoch)]
            csv.writer(file, lineterminator="\n").writerow(values)

    def task(self, progress: Progress) -> None:
        """A method that cannot be stored is left out, and a warning says so."""
        self._write_accuracies(progress)
        method = progress.method
        assert method is not None, "trained"
        path = self.folder / f"task{progress.done}.pt"
        try:
            write_state(path, encode(method, modules_of(type(method))))
        except Exception as error:
            warnings.warn(f"{path}: the method is not stored: {error}", stacklevel=2)

    def say(self, text: str) -> None:
        """Adds a line to log.txt, with the time before it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}\n")

    def _write_accuracies(self, progress: Progress) -> None:
        rows = progress.matrix.accuracy[: progress.done + 1].tolist()
        with open(self.folder / "accuracies.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["tasks", *(f"task {j + 1}" for j in range(progress.matrix.n_tasks))])
            writer.writerows([i, *("" if isnan(r) else f"{r:.6g}" for r in row)] for i, row in enumerate(rows))

    @property
    def _epochs(self) -> Path:
        return self.folder / "epochs.csv"


def load_method(path: Path, device: str = "cpu", scenario: Scenario | None = None) -> Method:
    """The method as it was after a task, to be evaluated or looked into, by the version of the code that saved it.

    scenario: the run's, needed where the method remembers images of files. Runs nothing that is in the file. Raises
    BrokenFile or NotStored (both ValueErrors) for a file that is not what a run has written.
    """
    own = frozenset().union(*(modules_of(cls) for cls in METHODS.values()))
    method = decode(read_state(path), own, scenario.image_files if scenario else (), device)
    if not isinstance(method, Method):
        raise NotStored(f"{path} holds a {type(method).__name__}, not a method")
    method.device = torch.device(device)
    return method
