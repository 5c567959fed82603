"""The contract of a tracker, which shows what happens in a cell: TensorBoard, Weights & Biases, MLflow, or one's own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy import uint8
from numpy.typing import NDArray

from benchmarks.request.keys import leaves

Value = bool | int | float | str


@dataclass(frozen=True)
class Run:
    """A cell as a tracker hears of it. name: for people; group: the suite; id: the stem of its record's file name; folder:
    all that a tracker writes goes below it; settings: all that decides the result, by dotted name. steps: that it had
    trained when it was stopped before and goes on now; None where it begins."""

    name: str
    group: str
    id: str
    folder: Path
    settings: dict[str, Value] = field(default_factory=dict)
    steps: int | None = None


class Tracker(ABC):
    """Made without arguments, in a thread of its own for each cell, on which all of this is called. It imports
    what it needs when it is made: the cell begins after that, as modules are not to change while it is stored. It may
    raise: the cell goes on without it. It draws no number of torch's or numpy's global generators.

    Names are paths: "train/loss" and "train/lr" after each epoch, by the number of training steps; "accuracy/task01", ...
    and "accuracy/mean" by the number of tasks trained, 0 to T, as fractions; the image "accuracy/matrix" likewise.
    """

    @abstractmethod
    def start(self, run: Run) -> None:
        """Before all else."""

    @abstractmethod
    def scalars(self, values: dict[str, float], step: int) -> None:
        """Numbers of one step. All names of a call have the same part before the slash."""

    @abstractmethod
    def image(self, name: str, image: NDArray[uint8], step: int) -> None:
        """image: height x width x 3, RGB."""

    @abstractmethod
    def end(self, scores: dict[str, float]) -> None:
        """After all else: the final scores and costs by id, those that there are ("acc", "flops.training"); none of a cell
        that failed. What was kept back is written."""


def flat(settings: dict[str, Any]) -> dict[str, Value]:
    """Nested settings by dotted name; lists as JSON, None as "none", empty mappings left out."""
    return {name: _plain(value) for name, value in leaves(settings) if value != {}}


def _plain(value: Any) -> Value:
    if isinstance(value, bool | int | float | str):
        return value
    return "none" if value is None else json.dumps(value)
