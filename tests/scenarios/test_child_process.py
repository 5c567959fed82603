"""Processes that decode images end with the process that they decode for."""

import multiprocessing
import os
import signal
import sys

import pytest
import torch

from scenarios.child_process import end_with
from scenarios.folders import load_tree
from scenarios.image_files import decode_ahead
from tests.benchmarks.helpers import ends
from tests.scenarios.trees import photo_tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system does this on Linux only")


def test_processes_that_decode_end_with_theirs(tmp_path):
    files = load_tree("photos", [photo_tree(tmp_path / "photos")]).train_images
    ours, theirs = multiprocessing.Pipe()

    def train():
        for _ in decode_ahead(files, [(0, rows) for rows in torch.arange(24).split(6)], workers=1):
            theirs.send([process.pid for process in multiprocessing.active_children()])
            signal.pause()

    worker = multiprocessing.get_context("fork").Process(target=train)
    worker.start()
    (decoder,) = ours.recv()
    os.kill(decoder, signal.SIGSTOP)  # so that it can do nothing about it itself
    worker.kill()
    worker.join()
    assert ends(decoder)


def test_one_that_asks_too_late_ends_at_once():
    process = multiprocessing.get_context("fork").Process(target=lambda: end_with(os.getpid()))  # not its parent
    process.start()
    process.join()
    assert process.exitcode == 1
