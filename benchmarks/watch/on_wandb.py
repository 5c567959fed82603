"""Weights & Biases: offline unless WANDB_MODE says otherwise; `wandb sync` sends what lies there."""

from __future__ import annotations

import os
from typing import Any

from numpy import uint8
from numpy.typing import NDArray

from benchmarks.watch.tracker import Run, Tracker


class Wandb(Tracker):
    """A run for each cell, in project $WANDB_PROJECT or "retain"; its group is the suite."""

    def __init__(self) -> None:
        import wandb

        self._wandb: Any = wandb

    def start(self, run: Run) -> None:
        wandb = self._wandb
        run.folder.mkdir(parents=True, exist_ok=True)  # else wandb writes to a temporary one
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "retain"),
            group=run.group,
            name=run.name,
            config=run.settings,
            dir=str(run.folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
        )
        for part, axis in _AXES.items():
            self._run.define_metric(axis)
            self._run.define_metric(f"{part}/*", step_metric=axis)

    def scalars(self, values: dict[str, float], step: int) -> None:
        axis = _AXES[next(iter(values)).split("/")[0]]
        self._run.log({**values, axis: step})

    def image(self, name: str, image: NDArray[uint8], step: int) -> None:
        self._run.log({name: self._wandb.Image(image), _AXES["accuracy"]: step})

    def end(self, scores: dict[str, float]) -> None:
        self._run.summary.update({f"score/{id}": value for id, value in scores.items()})
        self._run.finish(exit_code=0 if scores else 1)


_AXES = {"train": "steps", "accuracy": "tasks"}
"""By what the numbers of each part are drawn."""
