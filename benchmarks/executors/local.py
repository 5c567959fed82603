"""Processes on this machine, kept alive between cells; one that dies costs one try of one cell.

concurrent.futures and joblib lose the whole batch when the system kills a worker, so this watches its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from benchmarks.config import CellSettings
from scenarios.image_files import data_workers

MAX_TRIES = 2


class StorageFailed(RuntimeError):
    """A record could not be written."""


@dataclass(frozen=True)
class Outcome:
    """A cell that is finished. status as in the record; error: its last line; seconds: wall time of the cell."""

    cell: CellSettings
    status: str
    error: str | None
    seconds: float
    accuracy: float


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    device: str
    cell: CellSettings | None = None
    started: float = 0.0


def run_local(
    cells: list[CellSettings],
    folder: Path,
    data_root: str | None,
    devices: list[str],
    threads: int = 1,
    logs: bool = False,
) -> Generator[Outcome, None, None]:
    """Runs `cells` on one worker per entry of `devices` ("cpu", "cuda:0", ...), yielding each as it finishes.

    logs: each cell keeps a log (benchmarks/run_log.py). A worker that is killed is replaced and its cell tried once more, then recorded as failed. Raises StorageFailed
    when a record cannot be written. Closing the generator (or Ctrl-C) stops the workers; records stay whole.
    """
    context = multiprocessing.get_context("spawn")
    queue = deque((cell, 1) for cell in cells)
    tries: dict[str, int] = {}

    def spawn(device: str) -> _Worker:
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_work, args=(theirs, str(folder), data_root, device, threads, logs), name=f"cell-{device}"
        )
        process.daemon = (
            not data_workers()
        )  # a daemon may have no children, and these decode images; it ends with us anyway
        with _thread_limit(threads):
            process.start()
        theirs.close()
        return _Worker(process, ours, device)

    def feed(worker: _Worker) -> None:
        worker.cell = None
        if queue:
            worker.cell, tries[worker.cell.identity] = queue.popleft()
            worker.started = time.perf_counter()
            try:
                worker.connection.send(worker.cell)
            except (BrokenPipeError, OSError):
                pass  # it has just died; its sentinel says so on the next wait

    workers = [spawn(device) for device in devices[: max(1, len(cells))]]
    try:
        for worker in workers:
            feed(worker)
        while any(worker.cell for worker in workers):
            busy = [w for w in workers if w.cell]
            ready = wait([w.connection for w in busy] + [w.process.sentinel for w in busy])
            for k, worker in enumerate(workers):
                if worker.cell is None or not {worker.connection, worker.process.sentinel} & set(ready):
                    continue
                message = _receive(worker.connection)
                if isinstance(message, Exception):
                    raise message
                if message is not None:
                    yield message
                    feed(worker)
                    continue
                worker.process.join()
                cell = worker.cell
                if tries[cell.identity] < MAX_TRIES:
                    queue.appendleft((cell, tries[cell.identity] + 1))
                else:
                    yield _record_death(cell, folder, worker)
                worker.connection.close()
                workers[k] = spawn(worker.device)
                feed(workers[k])
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join(5)
            worker.connection.close()


@contextmanager
def _thread_limit(threads: int) -> Iterator[None]:
    """Children started inside give numpy's and torch's libraries `threads` threads, which they read when imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _receive(connection: Connection):
    """The worker's message, or None where it died before it sent one."""
    try:
        return connection.recv() if connection.poll() else None
    except EOFError:
        return None


def _work(connection: Connection, folder: str, data_root: str | None, device: str, threads: int, logs: bool) -> None:
    """A worker: receives cells, runs each, stores its record, answers with an Outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    import torch

    from benchmarks.checkpoint import remove_checkpoints
    from benchmarks.environment import reset_peak_memory
    from benchmarks.run import failed_record, run_cell
    from benchmarks.run_log import RunLog
    from benchmarks.store import Store
    from scenarios import DataNotFound

    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    _warm_up()
    store = Store(Path(folder))
    parent = multiprocessing.parent_process()
    while True:
        if not wait([connection, parent.sentinel]) or parent.exitcode is not None:  # type: ignore[union-attr]
            return
        try:
            cell: CellSettings = connection.recv()
        except EOFError:
            return
        reset_peak_memory(device)
        try:
            try:
                log = RunLog(store.log(cell), cell) if logs else None
                record = run_cell(cell, data_root, device, store.checkpoint(cell), log)
            except DataNotFound as error:
                connection.send(error)
                return
            except Exception:
                record = failed_record(cell, traceback.format_exc(), 0.0)
            store.save(record)
            if record.status != "failed":  # run again, it goes on from its last finished task
                remove_checkpoints(store.checkpoint(cell))
        except OSError as error:
            connection.send(StorageFailed(f"{cell.label}: {error}"))
            return
        connection.send(_outcome(cell, record))


def _warm_up() -> None:
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


def _outcome(cell: CellSettings, record) -> Outcome:
    from metrics import score

    accuracy = score("acc", record.matrix.matrix()) if record.status == "done" else float("nan")
    error = record.error.strip().splitlines()[-1] if record.error else None
    return Outcome(cell, record.status, error, record.seconds["total"], accuracy)


def _record_death(cell: CellSettings, folder: Path, worker: _Worker) -> Outcome:
    """The record of a cell whose worker was killed MAX_TRIES times."""
    from benchmarks.run import failed_record
    from benchmarks.store import Store

    code = worker.process.exitcode
    how = f"signal {-code} ({signal.Signals(-code).name})" if code is not None and code < 0 else f"exit code {code}"
    error = f"the worker process was ended by {how}, {MAX_TRIES} times; out of memory is the usual cause"
    seconds = time.perf_counter() - worker.started
    Store(folder).save(failed_record(cell, error, seconds))
    return Outcome(cell, "failed", error, seconds, float("nan"))
