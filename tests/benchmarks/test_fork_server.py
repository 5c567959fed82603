"""Workers are forks of a process that has torch and the project imported, and has started neither threads nor a GPU."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CHECK = """
import threading, torch
import benchmarks.executors.preloaded
from pathlib import Path
(threads,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Threads"))
print(threads, threading.active_count(), torch.cuda.is_initialized())
"""


def ready(connection):
    """What a worker does before its first cell; sends its CPU seconds and the memory that is its alone, MB."""
    from benchmarks.cell import run  # noqa: F401
    from benchmarks.executors.worker import warm_up

    warm_up()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    connection.send((time.process_time(), private / 1024))


def test_what_is_preloaded_starts_no_thread_and_no_gpu():
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["1", "1", "False"], done.stderr


def test_a_further_worker_costs_a_second_and_250_mb_at_most(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.executors.preloaded"])
    costs = []
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=ready, args=(theirs,))
        process.start()
        costs.append(ours.recv())
        process.join()
    print(costs)
    seconds, megabytes = costs[1]
    assert seconds <= 1
    assert megabytes <= 250
