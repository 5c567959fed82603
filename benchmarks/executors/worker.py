"""A process that runs cells for the runner (local.py), one after the other.

It imports the rest of the project only once it is sure to end with its runner.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import select
import signal
import sys
import threading
import traceback
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from scenarios.child_process import end_with

if TYPE_CHECKING:
    from benchmarks.records.cell_progress import CellProgress
    from benchmarks.watch.choice import Watching

FOR_THE_RUNNER = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a terminal or a scheduler sends to all processes of a run, and which the runner handles for all."""


def work(
    connection: Connection,
    output: Connection,
    folder: str,
    data_root: str | None,
    device: str,
    threads: int,
    watching: Watching,
    visible: str | None,
) -> None:
    """A worker: receives cells, runs each, stores its record, answers with its Outcome and whether it can go on.

    Before that, now and then, the CellProgress. visible: CUDA_VISIBLE_DEVICES, of the runner.
    """
    for number in FOR_THE_RUNNER:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_RUNNER)
    _end_with_runner()
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 (for good)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    faulthandler.enable(all_threads=False)
    import torch

    from benchmarks.cell.environment import reset_peak_memory
    from benchmarks.cell.run import failed_record, run_cell
    from benchmarks.executors.contract import StorageFailed, outcome_of
    from benchmarks.executors.ends import last_printed, with_printed
    from benchmarks.records.store import Store
    from benchmarks.watch.watch import Watch
    from scenarios import DataNotFound

    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    warm_up()
    store, busy = Store(Path(folder)), set[str]()
    while True:
        try:
            cell = connection.recv()
        except EOFError:
            return
        reset_peak_memory(device)
        watch = Watch(cell, store, watching, partial(_send_if_read, connection), busy)
        try:
            try:
                record = run_cell(cell, data_root, device, store.checkpoint(cell), watch.callbacks)
            except DataNotFound as error:
                connection.send(error)
                return
            except Exception:
                record = failed_record(cell, traceback.format_exc(), 0.0)
            sys.stdout.flush()
            sys.stderr.flush()
            if record.status == "failed" and record.error is not None:
                record = record.model_copy(update={"error": with_printed(record.error, last_printed(1, lines=20))})
            store.save(record)
            if record.status != "failed":  # run again, it goes on from its last finished task
                store.remove_checkpoints(cell)
        except OSError as error:
            connection.send(StorageFailed(f"{cell.label}: {error}"))
            return
        warnings = watch.finish(record)
        connection.send((outcome_of(cell, record, warnings=warnings), not _has_lost_device(record.error)))


def _send_if_read(connection: Connection, progress: CellProgress) -> None:
    """Tells the runner, unless it has stopped to listen: the cell would wait for it."""
    try:
        if select.select([], [connection], [], 0)[1]:
            connection.send(progress)
    except OSError:
        pass  # it has ended, and this process does so too


def _end_with_runner() -> None:
    """This process ends when its runner has ended, and when the process has from which it was forked."""
    runner = multiprocessing.parent_process()
    assert runner is not None, "a worker is started by a runner"
    ended = runner.sentinel

    def watch() -> None:
        wait([ended])
        os._exit(1)

    # the fork server ends with the runner, and the system then ends this, also where it is stopped
    end_with(os.getppid())
    threading.Thread(target=watch, daemon=True).start()


def _has_lost_device(error: str | None) -> bool:
    """Whether a cell's error is one after which its process can use its GPU no more: all later calls fail too."""
    return error is not None and ("CUDA error" in error or "cuDNN error" in error)


def warm_up() -> None:
    """Pays for what only the first cell of a process would pay for, so that cells' times compare."""
    import sklearn.datasets  # noqa: F401
    import torch
    import torchvision.transforms.v2.functional  # noqa: F401
    from torch import nn

    from methods import OptimizerSettings
    from metrics.flops import count_flops

    layer = nn.Linear(64, 8)
    optimizer = OptimizerSettings(momentum=0.9).build(layer.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        count_flops(lambda: layer(torch.ones(16, 64)).sum().backward())
        optimizer.step()
