"""One run on several processes: `python -m torch.distributed.run --nproc-per-node N -m benchmarks run SUITE --ddp`.

Every rank runs every cell, and the ranks share the work of each step (models/ranks.py); a recipe's batch_size is that
of all ranks together. Rank 0 writes records and checkpoints.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from benchmarks.config import CellSettings, SettingsError
from benchmarks.run import run_cell
from benchmarks.store import Store
from models import ranks


@contextmanager
def process_group() -> Iterator[str]:
    """Joins the ranks that torchrun started; gives this one's device. Raises SettingsError where there are none."""
    if "RANK" not in os.environ:
        raise SettingsError(
            [
                "--ddp runs under torchrun: python -m torch.distributed.run --nproc-per-node 2 -m benchmarks run ... --ddp"
            ]
        )
    device = "cpu"
    if torch.cuda.is_available():
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device != "cpu" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def run_together(cells: list[CellSettings], store: Store, data_root: str | None, say: Callable[[str], None]) -> bool:
    """Runs `cells` one after the other on all ranks. Gives whether this is rank 0, which alone says and writes things.

    Raises SettingsError where a cell fails: torchrun then ends the other ranks, which would wait for this one.
    """
    with process_group() as device:
        for cell in cells:
            record = run_cell(cell, data_root, device, store.checkpoint(cell))
            if ranks.rank() == 0 or record.status == "failed":
                store.save(record)
            if record.status == "failed":
                raise SettingsError([f"{cell.label} failed on rank {ranks.rank()}: {record.error}"])
            dist.barrier()
            if ranks.rank() == 0:
                store.checkpoint(cell).unlink(missing_ok=True)
                say(f"{cell.label}: {record.status}, {record.seconds['total']:.0f} s")
        return ranks.rank() == 0
