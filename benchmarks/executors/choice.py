"""Which executor a run has, from the options of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.request.errors import SettingsError, together
from benchmarks.watch.choice import QUIET, Watching
from scenarios.nearest import nearest

if TYPE_CHECKING:
    from benchmarks.executors.contract import Executor
    from benchmarks.executors.queue import Versions

EXECUTORS = ("local", "ray", "slurm")


@dataclass(frozen=True)
class Choice:
    """The options of the same names. gpus_per_cell: the part of a GPU that a cell gets; None: a whole one, or none
    where no GPU is named."""

    executor: str = "local"
    gpus_per_cell: float | None = None
    ray_address: str | None = None
    slurm: str | None = None
    detach: bool = False
    cell_timeout: float | None = None
    max_retries: int = 1

    def check(self, ddp: bool = False) -> None:
        """Raises SettingsError with all that does not go together."""
        problems = []
        if self.executor not in EXECUTORS:
            problems.append(f"--executor {self.executor}{nearest(self.executor, EXECUTORS)}")
        if self.ray_address is not None and self.executor != "ray":
            problems.append("--ray-address is for --executor ray")
        if (self.slurm is not None or self.detach) and self.executor != "slurm":
            problems.append("--slurm and --detach are for --executor slurm")
        if self.gpus_per_cell is not None and self.executor == "slurm":
            problems.append("--gpus-per-cell: with --executor slurm say --slurm gpus=1")
        share = self.gpus_per_cell
        if share is not None and not (0 < share <= 1 or (share > 1 and share.is_integer())):
            problems.append(f"--gpus-per-cell {share:g}: say a part of a GPU, e.g. 0.25, or a whole number of them")
        if self.cell_timeout is not None and not self.cell_timeout > 0:
            problems.append(f"--cell-timeout {self.cell_timeout:g}: say the seconds that a cell may take, e.g. 3600")
        if ddp and self != USUAL:
            problems.append("--ddp: torchrun is the executor, and the limits of a cell are its own")
        if self.executor == "slurm":
            from benchmarks.executors.on_slurm import parse_options

            try:
                parse_options(self.slurm)
            except SettingsError as error:
                problems += error.problems
        if problems:
            raise SettingsError(problems)

    @property
    def here(self) -> bool:
        """Whether cells run on this machine."""
        return self.executor == "local"

    def devices(self, workers: int | None, gpus: list[str] | None) -> list[str]:
        """One entry a worker: `devices_for`, with as many on a GPU as `gpus_per_cell` allows. Raises SettingsError, also
        with what `check` says."""
        from benchmarks.executors.devices import cells_per_gpu, devices_for

        packed = self.here and self.gpus_per_cell is not None
        devices, *_ = together(
            lambda: devices_for(None if packed else workers, gpus),
            self.check,
            lambda: self._check_packing(workers, gpus) if packed else None,
        )
        if self.gpus_per_cell is None or not packed:
            return devices
        return [device for device in dict.fromkeys(devices) for _ in range(cells_per_gpu(self.gpus_per_cell))]

    def _check_packing(self, workers: int | None, gpus: list[str] | None) -> None:
        problems = []
        if gpus is None:
            problems.append("--gpus-per-cell: name the GPUs too, e.g. --gpus 0,1")
        if workers is not None:
            problems.append("--gpus-per-cell says how many workers a GPU has, and so does --workers: give one of them")
        if self.gpus_per_cell is not None and self.gpus_per_cell > 1:
            problems.append(f"--gpus-per-cell {self.gpus_per_cell:g}: on this machine a cell has one GPU at most")
        if problems:
            raise SettingsError(problems)

    def build(
        self,
        folder: Path,
        data_root: str | None,
        devices: list[str],
        workers: int | None = None,
        watching: Watching = QUIET,
        before: Versions | None = None,
    ) -> Executor:
        """The executor. devices: of the local one; workers: of a Ray cluster started here; before: what has no record
        since then is to be done, None: since the executor starts. Raises SettingsError."""
        from benchmarks.executors.contract import Limits

        limits = Limits(self.cell_timeout, self.max_retries)
        if self.executor == "ray":
            from benchmarks.executors.on_ray import run_on_ray

            return lambda cells: run_on_ray(
                cells,
                folder,
                data_root,
                self.ray_address,
                self.gpus_per_cell or 0.0,
                workers,
                watching=watching,
                limits=limits,
                before=before,
            )
        if self.executor == "slurm":
            from benchmarks.executors.on_slurm import parse_options, run_on_slurm

            options = parse_options(self.slurm)
            return lambda cells: run_on_slurm(
                cells, folder, data_root, options, self.detach, watching, limits, before=before
            )
        from benchmarks.executors.local import run_local

        return lambda cells: run_local(
            cells, folder, data_root, devices, watching=watching, limits=limits, before=before
        )


USUAL = Choice()
