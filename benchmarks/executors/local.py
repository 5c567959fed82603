"""Processes on this machine, kept alive between cells; one that dies costs one try of one cell.

concurrent.futures and joblib lose the whole batch when the system kills a worker, so this watches its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO

from benchmarks.executors import ends
from benchmarks.executors.contract import USUAL, Limits, Outcome, StorageFailed, outcome_of
from benchmarks.executors.queue import Queue, Version, Versions, record_since, version
from benchmarks.executors.worker import FOR_THE_RUNNER, work
from benchmarks.records.cell_progress import CellProgress
from benchmarks.records.claims import Claims
from benchmarks.records.store import Store
from benchmarks.request.suite import CellSettings
from benchmarks.watch.choice import QUIET, Watching
from scenarios.image_files import data_workers

NOTE = 2.0
"""Seconds between two notes of a cell's progress in its claim, which may lie in a network folder."""
TICK = 1.0
"""Seconds after which the runner looks up from waiting for its workers: at other runs, and at the time."""


@dataclass
class _Worker:
    """output: where what it prints goes. For the cell at hand: when it was `started`, when its progress was last `noted`,
    what was left of it by earlier runs then, and how many processes the system had killed for want of memory."""

    process: multiprocessing.process.BaseProcess
    connection: Connection
    output: IO[bytes]
    device: str
    cell: CellSettings | None = None
    started: float = 0.0
    noted: float = float("-inf")
    record_before: Version | None = None
    oom_kills_before: int = 0


def run_local(
    cells: list[CellSettings],
    folder: Path,
    data_root: str | None,
    devices: list[str],
    threads: int = 1,
    watching: Watching = QUIET,
    limits: Limits = USUAL,
    claims: Claims | None = None,
    before: Versions | None = None,
) -> Generator[Outcome, None, None]:
    """Runs `cells` on one worker per entry of `devices` ("cpu", "cuda:0", ...), yielding each as it finishes.

    A worker that dies is replaced and its cell tried again as
    `limits` say, then recorded as failed. Cells that other runs on `folder` do are waited for, and taken over where
    those die (claims.py). claims, before: as for Queue. Raises StorageFailed when a record cannot be written. Closing
    the generator (or Ctrl-C) stops the workers, and they end where this process is killed; records stay whole.
    """
    grid = _LocalGrid(cells, folder, data_root, devices, threads, watching, limits, claims, before)
    try:
        yield from grid.outcomes()
    finally:
        grid.stop()


class _LocalGrid:
    def __init__(self, cells, folder, data_root, devices, threads, watching, limits, claims, before):
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["benchmarks.executors.preloaded"])
        self.store = Store(folder)
        self.queue = Queue(cells, self.store, claims or Claims(folder), before)
        self.folder, self.data_root, self.threads, self.limits = folder, data_root, threads, limits
        self.watching = watching
        self.deaths: dict[str, list[str]] = defaultdict(list)
        self.devices = devices[: max(1, len(cells))]
        self.workers: list[_Worker] = []

    def outcomes(self) -> Iterator[Outcome]:
        while self.queue or any(worker.cell for worker in self.workers):
            self.queue.look()
            self._feed()
            yield from self.queue.finished_by_others()
            busy = [worker for worker in self.workers if worker.cell]
            if not busy and not self.queue:
                return
            ready = set(wait([w.connection for w in busy] + [w.process.sentinel for w in busy], TICK))
            for worker in busy:
                outcome = None
                if {worker.connection, worker.process.sentinel} & ready:
                    outcome = self._hear(worker)
                elif self._is_late(worker):
                    outcome = self._stop_late(worker)
                if outcome is not None:
                    self.queue.release(outcome.cell)
                    yield outcome

    def _feed(self) -> None:
        """Gives every idle worker a cell; starts workers where there are cells for them."""
        idle = [worker for worker in self.workers if not worker.cell]
        absent = list(self.devices)
        for worker in self.workers:
            absent.remove(worker.device)
        while idle or absent:
            cell = self.queue.take(idle[0].device if idle else absent[0])
            if cell is None:
                return
            if idle:
                worker = idle.pop(0)
            else:
                worker = self._spawn(absent.pop(0))
                self.workers.append(worker)
            worker.cell = cell
            worker.started, worker.noted = time.monotonic(), float("-inf")
            worker.record_before = version(self.store, cell)
            worker.oom_kills_before = ends.oom_kills()
            os.ftruncate(worker.output.fileno(), 0)
            os.lseek(worker.output.fileno(), 0, os.SEEK_SET)
            try:
                worker.connection.send(cell)
            except OSError:
                pass  # it has just died; its sentinel says so on the next wait

    def _spawn(self, device: str) -> _Worker:
        ours, theirs = self.context.Pipe()
        output = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the worker)
        # multiprocessing hands a Connection to a child, and this one is to an open file
        printed = Connection(os.dup(output.fileno()), readable=False)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")  # that of the fork server may be of earlier
        process = self.context.Process(
            target=work,
            args=(theirs, printed, str(self.folder), self.data_root, device, self.threads, self.watching, visible),
            name=f"cell-{device}",
        )
        process.daemon = (
            not data_workers()
        )  # a daemon may have no children, and these decode images; it ends with us anyway
        resource_tracker.ensure_running()  # it would let the signals through again that are held back
        with _thread_limit(self.threads), _held_back(*FOR_THE_RUNNER):
            process.start()
        theirs.close()
        printed.close()
        return _Worker(process, ours, output, device)

    def _hear(self, worker: _Worker) -> Outcome | None:
        """What has come of the cell of a worker that has something to say or died; None where it is not finished."""
        cell = worker.cell
        assert cell is not None, "busy"
        message = _receive(worker.connection)
        if isinstance(message, Exception):
            raise message
        if isinstance(message, CellProgress):
            if time.monotonic() - worker.noted >= NOTE:
                worker.noted = time.monotonic()
                self.queue.note(cell, progress=message)
            return None
        outcome, usable = message or (None, False)
        if outcome is None:
            worker.process.join()
            outcome = self._bury(worker, cell)
        if self.watching.logs and outcome is not None:
            self._keep_output(cell, worker)
        worker.cell = None
        if not usable:
            self._drop(worker)
        return outcome

    def _bury(self, worker: _Worker, cell: CellSettings) -> Outcome | None:
        """What has come of the `cell` of a worker that died; None where it is to be tried again."""
        deaths = self.deaths[cell.identity]
        deaths.append(ends.cause(worker.process.exitcode, worker.oom_kills_before))
        self.store.sweep()
        record = record_since(self.store, cell, worker.record_before)
        if record is not None:  # its last deed
            self.store.sweep(finished=[cell])
            return outcome_of(cell, record)
        if len(deaths) <= self.limits.max_retries:
            self.queue.again(cell)
            return None
        times = f"{len(deaths)} times" if len(deaths) > 1 else "once"
        return self._record_failure(cell, worker, f"the worker died {times}: {'; '.join(deaths)}")

    def _is_late(self, worker: _Worker) -> bool:
        limit = self.limits.cell_timeout
        return limit is not None and time.monotonic() - worker.started > limit

    def _stop_late(self, worker: _Worker) -> Outcome:
        cell = worker.cell
        assert cell is not None, "busy"
        _end([worker], close=False)
        self.store.sweep()
        record = record_since(self.store, cell, worker.record_before)
        limit = self.limits.cell_timeout
        outcome = (
            outcome_of(cell, record)  # it has just come to its end all the same
            if record is not None
            else self._record_failure(cell, worker, f"stopped after {limit:g} s, as --cell-timeout asks")
        )
        worker.cell = None
        self._drop(worker)
        return outcome

    def _record_failure(self, cell: CellSettings, worker: _Worker, error: str) -> Outcome:
        from benchmarks.cell.run import failed_record

        printed = ends.last_printed(worker.output)
        record = failed_record(cell, ends.with_printed(error, printed), time.monotonic() - worker.started)
        try:
            self.store.save(record)
        except OSError as failure:
            raise StorageFailed(f"{cell.label}: {failure}") from None
        return outcome_of(cell, record)

    def _keep_output(self, cell: CellSettings, worker: _Worker) -> None:
        folder = self.store.log(cell)
        if folder.is_dir():
            text = ends.last_printed(worker.output)
            (folder / "printed.txt").write_text(f"{text}\n" if text else "", encoding="utf-8")

    def _drop(self, worker: _Worker) -> None:
        _end([worker])
        self.workers.remove(worker)

    def stop(self) -> None:
        running = [worker.cell for worker in self.workers if worker.cell]
        _end(self.workers)
        self.store.sweep()
        for cell in running:
            self.queue.release(cell)


def _end(workers: list[_Worker], close: bool = True) -> None:
    """Ends `workers`, also one that is stopped; what they write is whole or not there."""
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        if close:
            worker.connection.close()
            worker.output.close()


@contextmanager
def _held_back(*numbers: signal.Signals) -> Iterator[None]:
    """Signals that arrive inside are delivered after it, and to children started inside once they allow it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    """The worker's message, or None where it died before it had sent one."""
    try:
        return connection.recv() if connection.poll() else None
    except (EOFError, OSError):  # OSError: within one
        return None
