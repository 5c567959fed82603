"""What a run leaves beside its record, where asked for: its settings, a line an epoch, the method after each task."""

from __future__ import annotations

import csv
import warnings
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch
import yaml

from benchmarks.cell.state import NotStored, decode, encode, modules_of, read_state, write_state
from benchmarks.request.suite import CellSettings
from methods import METHODS, Method
from scenarios import Scenario


@dataclass(frozen=True)
class Epoch:
    """An epoch that has ended. task, epoch: from 1, the epoch within its phase; steps: of the phase so far; loss: mean
    over the epoch's steps; lr: of the next step; seconds: of the epoch."""

    task: int
    phase: str
    epoch: int
    steps: int
    loss: float
    lr: float
    seconds: float


class RunLog:
    """The folder of one cell.

    settings.yaml: all that decides its result. epochs.csv: a line an epoch, written as it ends. task1.pt, task2.pt, ...:
    the method after each task, for `load_method`.
    """

    def __init__(self, folder: Path, cell: CellSettings):
        self.folder = folder
        self.settings = {
            "scenario_name": cell.scenario_name,
            "method_name": cell.method_name,
        } | cell.identity_settings()

    def start(self, done: int) -> None:
        """Before the first task to come, `done` tasks being finished: what a stopped run wrote of later ones goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "settings.yaml").write_text(yaml.safe_dump(self.settings, sort_keys=False))
        lines = []
        if self._epochs.exists():
            with open(self._epochs, newline="") as file:
                lines = [line for line in csv.DictReader(file) if int(line["task"]) <= done]
        with open(self._epochs, "w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
        for path in self.folder.glob("task*.pt"):
            if int(path.stem.removeprefix("task")) > done:
                path.unlink()

    def epoch(self, epoch: Epoch) -> None:
        with open(self._epochs, "a", newline="") as file:
            values = [f"{v:.6g}" if isinstance(v, float) else v for v in astuple(epoch)]
            csv.writer(file, lineterminator="\n").writerow(values)

    def task(self, method: Method) -> None:
        """After the method's current task. One that cannot be stored is left out, and a warning says so."""
        path = self.folder / f"task{method.task.id + 1}.pt"
        try:
            write_state(path, encode(method, modules_of(type(method))))
        except Exception as error:
            warnings.warn(f"{path}: the method is not stored: {error}", stacklevel=2)

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
