"""A small storm; `python -m tests.benchmarks.storm` is the whole one."""

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_storm_changes_no_record_and_leaves_nothing():
    command = [sys.executable, "-m", "tests.benchmarks.storm", "--kills", "6", "--commands", "0", "--seeds", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 strikes on" in done.stdout
