"""Cells as tasks of a Ray cluster, each with its share of a GPU; those of a lost node run elsewhere."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.executors.contract import USUAL, Limits, Outcome, StorageFailed, outcome_of
from benchmarks.executors.devices import cells_per_gpu
from benchmarks.executors.node import Job, run_on_node
from benchmarks.executors.queue import Queue, Versions
from benchmarks.executors.signals import SIGNALS
from benchmarks.records.claims import Claims
from benchmarks.records.record import RunRecord
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.suite import CellSettings
from benchmarks.watch.choice import QUIET, Watching
from scenarios import DataNotFound

TICK = 1.0
MOST_LOSSES = 5
"""A cell whose node or process Ray has lost more often is recorded as failed."""
ROOT = Path(__file__).parents[2]


def run_on_ray(
    cells: list[CellSettings],
    folder: Path,
    data_root: str | None,
    address: str | None = None,
    gpus_per_cell: float = 0.0,
    workers: int | None = None,
    threads: int = 1,
    watching: Watching = QUIET,
    limits: Limits = USUAL,
    before: Versions | None = None,
) -> Generator[Outcome, None, None]:
    """Runs `cells` on the Ray cluster at `address` ("auto", "HOST:PORT"), or on one of `workers` processors started here.

    gpus_per_cell: 0.25 packs four cells on a GPU; 0: processors. Every node has this project under the same path; data
    lies under its own DATA_ROOT where `data_root` is None. Records come to `folder` of this machine, which nodes may
    share or not. before: as for Queue. Raises SettingsError where Ray is not installed or no cluster answers, DataNotFound naming the node.
    """
    with _connected(address, workers) as ray:
        claims = Claims(folder)
        device = "cuda:0" if gpus_per_cell else "cpu"
        job = Job(str(folder.resolve()), data_root, device, threads, watching, limits, claims.run)
        task = ray.remote(run_on_node).options(
            num_cpus=threads, num_gpus=gpus_per_cell, max_retries=0, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}}
        )
        yield from _outcomes(ray, task, job, Queue(cells, Store(folder), claims, before), threads, gpus_per_cell)


def _outcomes(ray: Any, task: Any, job: Job, queue: Queue, threads: int, share: float) -> Iterator[Outcome]:
    running: dict[Any, CellSettings] = {}
    losses: Counter[str] = Counter()
    try:
        while queue or running:
            queue.look()
            yield from queue.finished_by_others()
            while len(running) < _room(ray, threads, share) and (cell := queue.take("ray")):
                running[task.remote(job, cell)] = cell
            if not running:
                time.sleep(TICK)
                continue
            ready, _ = ray.wait(list(running), timeout=TICK)
            for ref in ready:
                cell = running.pop(ref)
                try:
                    text, host, warnings = ray.get(ref)
                except ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, (DataNotFound, StorageFailed)):
                        raise error.cause from None
                    outcome = _failure(cell, queue.store, str(error))
                except ray.exceptions.RayError as error:
                    losses[cell.identity] += 1
                    if losses[cell.identity] <= MOST_LOSSES:
                        queue.again(cell)
                        continue
                    outcome = _failure(
                        cell, queue.store, f"lost {losses[cell.identity]} times by Ray, at last: {error}"
                    )
                else:
                    outcome = _stored(cell, queue.store, text, host, warnings)
                queue.release(cell)
                yield outcome
    finally:
        for ref, cell in running.items():
            ray.cancel(ref, force=True)
            queue.release(cell)


def _stored(cell: CellSettings, store: Store, text: str, host: str, warnings: tuple[str, ...]) -> Outcome:
    record = RunRecord.from_document(json.loads(text))
    try:
        there = store.find(cell)
        if there is None or there.to_json() != record.to_json():
            store.save(record)
        if record.status != "failed":
            store.remove_checkpoints(cell)
    except OSError as error:
        raise StorageFailed(f"{cell.label}: {error}") from None
    return outcome_of(cell, record, host, warnings)


def _failure(cell: CellSettings, store: Store, error: str) -> Outcome:
    from benchmarks.cell.run import failed_record

    try:
        store.save(record := failed_record(cell, error, 0.0))
    except OSError as failure:
        raise StorageFailed(f"{cell.label}: {failure}") from None
    return outcome_of(cell, record)


def _room(ray: Any, threads: int, share: float) -> int:
    """How many cells the cluster, as it now is, can run at a time: no more are claimed."""
    found = ray.cluster_resources()
    room = int(found.get("CPU", 0) // threads)
    if share:
        gpus = found.get("GPU", 0)
        room = min(room, int(gpus * cells_per_gpu(share)) if share <= 1 else int(gpus // share))
    return max(1, room)


@contextmanager
def _connected(address: str | None, workers: int | None) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise SettingsError(["--executor ray needs Ray: pip install -r requirements-ray.txt"]) from None
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    own = not ray.is_initialized()
    if own:
        here: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address is None else {}
        try:
            _check_answers(address)  # Ray would try for minutes
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
        except (OSError, ValueError) as error:
            raise SettingsError([f"--ray-address {address}: no Ray cluster answers there: {error}"]) from None
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():  # Ray has put its own in their place
                signal.signal(number, handler)
    try:
        yield ray
    finally:
        if own:
            ray.shutdown()


def _check_answers(address: str | None) -> None:
    """Raises OSError or ValueError where nothing listens at an address of the form HOST:PORT."""
    if address is not None and ":" in address and "://" not in address:
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=10).close()
