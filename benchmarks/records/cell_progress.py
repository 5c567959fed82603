"""How far a running cell has come, as its claim carries it from the worker to who looks on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CellProgress:
    """done: tasks finished, of `tasks`. phase, epoch, epochs: of the task at hand, epoch from 1 and 0 before the first.
    loss: mean over the last steps; accuracy: mean over the tasks so far, after the last finished one; left: seconds, as
    estimated. None: not known yet. warning: of a tracker that was given up."""

    tasks: int
    done: int = 0
    phase: str = ""
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    accuracy: float | None = None
    left: float | None = None
    warning: str = ""

    @property
    def text(self) -> str:
        """ "task 3/10, epoch 12/70, loss 0.412, accuracy 83.6% after task 2, left 2:31"; phases other than "train" by name."""
        if self.epoch:
            phase = "" if self.phase == "train" else f"{self.phase} "
            parts = [f"task {self.done + 1}/{self.tasks}", f"{phase}epoch {self.epoch}/{self.epochs}"]
        else:
            parts = [f"{self.done} of {self.tasks} tasks done"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4g}")
        if self.accuracy is not None:
            parts.append(f"accuracy {100 * self.accuracy:.1f}% after task {self.done}")
        if self.left is not None:
            parts.append(f"left {clock(self.left)}")
        return ", ".join(parts) + (f" ({self.warning})" if self.warning else "")


def clock(seconds: float) -> str:
    """1:02:03 or 2:03."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
