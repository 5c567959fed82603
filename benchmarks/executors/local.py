"""Processes on this machine, kept alive between cells; one that dies costs one try of one cell.

concurrent.futures and joblib lose the whole batch when the system kills a worker, so this watches its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO

from benchmarks.executors.worker import work
from benchmarks.records.store import Store
from benchmarks.request.suite import CellSettings
from scenarios.image_files import data_workers

MAX_TRIES = 2
PATIENCE = 5.0
"""Seconds that workers have to end when asked to, before they are killed."""


class StorageFailed(RuntimeError):
    """A record could not be written."""


@dataclass(frozen=True)
class Outcome:
    """A cell that is finished. status as in the record; error: its last line; seconds: wall time of the cell.

    output: the end of what its worker printed meanwhile.
    """

    cell: CellSettings
    status: str
    error: str | None
    seconds: float
    accuracy: float
    output: str = ""


@dataclass
class _Worker:
    """output: where what it prints goes. For the cell at hand: when it was `started`, the file that lay under the
    name of its record then, and how many processes the system had killed for want of memory."""

    process: multiprocessing.process.BaseProcess
    connection: Connection
    output: IO[bytes]
    device: str
    cell: CellSettings | None = None
    started: float = 0.0
    record_before: tuple[int, int] | None = None
    oom_kills_before: int = 0


def run_local(
    cells: list[CellSettings],
    folder: Path,
    data_root: str | None,
    devices: list[str],
    threads: int = 1,
    logs: bool = False,
) -> Generator[Outcome, None, None]:
    """Runs `cells` on one worker per entry of `devices` ("cpu", "cuda:0", ...), yielding each as it finishes.

    logs: each cell keeps a log (benchmarks/cell/run_log.py). A worker that dies is replaced and its cell tried once more,
    then recorded as failed. Raises StorageFailed when a record cannot be written. Closing the generator (or Ctrl-C)
    stops the workers, and they end where this process is killed; records stay whole.
    """
    context = multiprocessing.get_context("spawn")
    store = Store(folder)
    queue = deque(cells)
    deaths: dict[str, list[str]] = defaultdict(list)

    def spawn(device: str) -> _Worker:
        ours, theirs = context.Pipe()
        output = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the worker)
        # multiprocessing hands a Connection to a child, and this one is to an open file
        printed = Connection(os.dup(output.fileno()), readable=False)
        by_main = threading.current_thread() is threading.main_thread()
        process = context.Process(
            target=work,
            args=(theirs, printed, str(folder), data_root, device, threads, logs, by_main),
            name=f"cell-{device}",
        )
        process.daemon = (
            not data_workers()
        )  # a daemon may have no children, and these decode images; it ends with us anyway
        with _thread_limit(threads), _held_back(signal.SIGINT, signal.SIGHUP):
            process.start()
        theirs.close()
        printed.close()
        return _Worker(process, ours, output, device)

    def feed(worker: _Worker) -> None:
        worker.cell = None
        if queue:
            worker.cell = queue.popleft()
            worker.started = time.perf_counter()
            worker.record_before = _version(store.path(worker.cell))
            worker.oom_kills_before = _oom_kills()
            os.ftruncate(worker.output.fileno(), 0)
            os.lseek(worker.output.fileno(), 0, os.SEEK_SET)
            try:
                worker.connection.send(worker.cell)
            except OSError:
                pass  # it has just died; its sentinel says so on the next wait

    def bury(worker: _Worker, cell: CellSettings) -> Outcome | None:
        """What has come of the `cell` of a worker that died; None where it is to be tried again."""
        deaths[cell.identity].append(_cause(worker))
        store.sweep()
        written = _version(store.path(cell)) != worker.record_before
        record = store.find(cell) if written else None
        if record is not None:  # its last deed
            store.sweep(finished=[cell])
            return outcome_of(cell, record)
        if len(deaths[cell.identity]) < MAX_TRIES:
            queue.appendleft(cell)
            return None
        return _record_death(cell, store, worker, deaths[cell.identity])

    workers = [spawn(device) for device in devices[: max(1, len(cells))]]
    try:
        for worker in workers:
            feed(worker)
        while any(worker.cell for worker in workers):
            busy = [w for w in workers if w.cell]
            ready = wait([w.connection for w in busy] + [w.process.sentinel for w in busy])
            for k, worker in enumerate(workers):
                cell = worker.cell
                if cell is None or not {worker.connection, worker.process.sentinel} & set(ready):
                    continue
                message = _receive(worker.connection)
                if isinstance(message, Exception):
                    raise message
                outcome, usable = message or (None, False)
                if outcome is None:
                    worker.process.join()
                    outcome = bury(worker, cell)
                if outcome is not None:
                    outcome = replace(outcome, output=_end_of(worker.output))
                if not usable:
                    _stop([worker])
                    worker.cell = None
                    if queue:
                        workers[k] = spawn(worker.device)
                if queue or usable:
                    feed(workers[k])
                if outcome is not None:
                    yield outcome
    finally:
        _stop(workers)
        store.sweep()


def _stop(workers: list[_Worker]) -> None:
    """Ends `workers`, also one that is stopped or does not listen."""
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + PATIENCE
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()
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


def outcome_of(cell: CellSettings, record) -> Outcome:

    accuracy = record.score("acc") if record.status == "done" else float("nan")
    error = record.error.strip().splitlines()[-1] if record.error else None
    return Outcome(cell, record.status, error, record.seconds["total"], accuracy)


def _record_death(cell: CellSettings, store: Store, worker: _Worker, causes: list[str]) -> Outcome:
    """The record of a cell whose worker died MAX_TRIES times."""
    from benchmarks.cell.run import failed_record

    # what is printed of an error is its last line
    printed = _end_of(worker.output, lines=100)
    error = f"the worker died {len(causes)} times: {'; '.join(causes)}"
    seconds = time.perf_counter() - worker.started
    text = f"the last that it printed:\n{printed}\n{error}" if printed else error
    try:
        store.save(failed_record(cell, text, seconds))
    except OSError as failure:
        raise StorageFailed(f"{cell.label}: {failure}") from None
    return Outcome(cell, "failed", error, seconds, float("nan"))


def _cause(worker: _Worker) -> str:
    """How a worker's process ended."""
    code = worker.process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        cause = f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:  # a real-time signal
        cause = f"signal {-code}"
    if -code == signal.SIGKILL and _oom_kills() > worker.oom_kills_before:
        cause += ", while the system killed processes because its memory was full"
    return cause


def _oom_kills() -> int:
    """How many processes the system has killed for want of memory since it started; 0 where it does not say."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except OSError:
        return 0
    return int(counts.get("oom_kill", 0))


def _version(path: Path) -> tuple[int, int] | None:
    """Tells a file under `path` from one that was there before; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns


def _end_of(file: IO[bytes], lines: int = 20) -> str:
    """The last lines of what was printed to `file`, of its last 16 KiB."""
    size = os.fstat(file.fileno()).st_size
    text = os.pread(file.fileno(), 2**14, max(0, size - 2**14)).decode(errors="replace")
    # after a crash Python also lists hundreds of modules
    printed = [line[:500] for line in text.rstrip().splitlines() if not line.startswith("Extension modules:")]
    return "\n".join(printed[-lines:]).strip("\n")
