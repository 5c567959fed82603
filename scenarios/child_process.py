"""Processes that end with the one that started them, however that one ended.

A module of its own that imports nothing of the project: what it asks for is wanted before seconds of imports.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with(parent: int) -> bool:
    """Has the system kill this process as soon as process `parent`, which started it, has ended. False: it cannot.

    It does so on Linux, also where this process is stopped or deep in a computation. The thread that started this
    process counts as its parent there: where that thread ends, this process does.
    """
    if sys.platform != "linux":
        return False
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
        return False
    if os.getppid() != parent:
        os._exit(1)  # it had ended before the system was asked
    return True


def end_with_parent(*_) -> None:
    """`end_with` for a process of multiprocessing, such as a DataLoader's worker (its worker_init_fn)."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        end_with(parent.pid)
