"""TensorBoard event files: a folder for each cell."""

from __future__ import annotations

from typing import Any

from numpy import uint8
from numpy.typing import NDArray

from benchmarks.watch.tracker import Run, Tracker


class TensorBoard(Tracker):
    """FOLDER/SUITE/CELL; `tensorboard --logdir FOLDER` shows them side by side."""

    def __init__(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._open = SummaryWriter

    def start(self, run: Run) -> None:
        folder = run.folder / run.group / run.id
        if run.steps is None and folder.is_dir():  # of a run that has begun anew
            for file in folder.glob("events.out.tfevents.*"):
                file.unlink()
        self._settings = run.settings
        # what was written of later steps is trained, and written, again
        purged_from = None if run.steps is None else run.steps + 1
        self._writer: Any = self._open(str(folder), purge_step=purged_from)
        self._writer.add_text("cell", run.name)

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, name: str, image: NDArray[uint8], step: int) -> None:
        self._writer.add_image(name, image, step, dataformats="HWC")
        self._writer.flush()

    def end(self, scores: dict[str, float]) -> None:
        if scores:
            # run_name: else a folder of its own, named after the time
            named = {f"score/{id}": value for id, value in scores.items()}
            self._writer.add_hparams(self._settings, named, run_name=".")
        self._writer.close()
