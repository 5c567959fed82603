"""One run on several processes: `python -m torch.distributed.run --nproc-per-node N -m benchmarks run SUITE --ddp`.

Every rank runs every cell, and the ranks share the work of each step (models/ranks.py); a recipe's batch_size is that
of all ranks together. Rank 0 claims cells and writes records and checkpoints.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from benchmarks.cell.run import run_cell
from benchmarks.executors.queue import LOOK, Queue, Versions
from benchmarks.executors.signals import SIGNALS
from benchmarks.records.claims import BEAT, Claims
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.suite import CellSettings
from benchmarks.watch.choice import QUIET, Watching
from benchmarks.watch.watch import Watch
from models import ranks
from scenarios.child_process import end_with

_PARENT = os.getppid()  # early: in a rank, torchrun


def devices_of_ranks(workers: int | None = None, gpus: str | None = None) -> list[str]:
    """The device of each rank that torchrun started on this machine.

    Raises SettingsError where it started none, and where --workers or --gpus would have a say too.
    """
    problems = []
    if "RANK" not in os.environ:
        problems.append(
            "--ddp runs under torchrun: torchrun --nproc-per-node 2 -m benchmarks run ... --ddp (make: DDP=1)"
        )
    if workers is not None or gpus is not None:
        problems.append("--ddp: torchrun's --nproc-per-node and CUDA_VISIBLE_DEVICES say what --workers and --gpus do")
    count, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if 0 < count < here:
        problems.append(f"--ddp: {here} processes on a machine with {count} GPUs")
    if problems:
        raise SettingsError(problems)
    return [f"cuda:{n}" if count else "cpu" for n in range(here)]


def is_first() -> bool:
    """Whether this is rank 0, before the ranks have joined."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def process_group() -> Iterator[str]:
    """Joins the ranks that torchrun started; gives this one's device. From then on they end with torchrun."""
    end_with(_PARENT)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # at once: Python would wait for the other ranks first
    device = devices_of_ranks()[int(os.environ["LOCAL_RANK"])]
    if device != "cpu":
        torch.cuda.set_device(device)
    dist.init_process_group("gloo" if device == "cpu" else "nccl")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def run_together(
    cells: list[CellSettings],
    store: Store,
    data_root: str | None,
    say: Callable[[str], None],
    watching: Watching = QUIET,
    before: Versions | None = None,
) -> bool:
    """Runs `cells` one after the other on all ranks. Gives whether this is rank 0, which alone says and writes things.

    Rank 0 decides which: another run, and even this run's other ranks, may have found other cells missing. before: as
    in `Queue`. Raises SettingsError where a cell fails: torchrun then ends the other ranks, which would wait for this one.
    """
    busy: set[str] = set()
    with process_group() as device:
        claims = Claims(store.folder)
        queue = Queue(cells, store, claims, before) if ranks.rank() == 0 else None
        while (cell := _next_cell(queue, say)) is not None:
            watch = Watch(cell, store, watching, without=busy) if ranks.rank() == 0 else None
            callbacks = watch.callbacks if watch else None
            with _beating(claims):
                record = run_cell(cell, data_root, device, store.checkpoint(cell), callbacks)
            if ranks.rank() == 0 or record.status == "failed":
                store.save(record)
            for warning in watch.finish(record) if watch else ():
                say(warning)
            if record.status == "failed":
                raise SettingsError([f"{cell.label} failed on rank {ranks.rank()}: {record.error}"])
            dist.barrier()
            if queue is not None:
                store.remove_checkpoints(cell)
                queue.release(cell)
                say(f"{cell.label}: {record.status}, {record.seconds['total']:.0f} s")
        return ranks.rank() == 0


def _next_cell(queue: Queue | None, say: Callable[[str], None]) -> CellSettings | None:
    """The next cell of rank 0's queue, on every rank; None where all are done, also those that other runs had."""
    while True:
        word: list[CellSettings | bool | None] = [None, False]
        if queue is not None:
            queue.look()
            taken = queue.take(f"{ranks.world()} ranks")
            for outcome in queue.finished_by_others():
                say(f"{outcome.cell.label}: {outcome.status}, by {outcome.where}")
            word = [taken, bool(queue)]
        # said again and again while others have the rest: no rank waits longer than a collective may take
        dist.broadcast_object_list(word, 0)
        cell, left = word
        if isinstance(cell, CellSettings):
            return cell
        if not left:
            return None
        if queue is not None:
            time.sleep(LOOK)


@contextmanager
def _beating(claims: Claims) -> Iterator[None]:
    """Renews the claims while this process trains."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT / 4):
            claims.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
