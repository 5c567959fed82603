"""make passes what it is told as it was told."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AWKWARD = """/a b/it's "$HOME" $(shell echo x) `echo y` #1; \\ *"""


def said(target: str, *variables: str, **environment: str) -> list[list[str]]:
    """The words of each command that `make target` would run."""
    # also where make runs these tests: the one asked here is not to take part in that one
    outside = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    command = ["make", "--no-print-directory", "-n", target, *variables]
    done = subprocess.run(command, cwd=ROOT, env=outside | environment, capture_output=True, text=True, check=True)
    return [shlex.split(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("target", ["bench", "bench-mnist", "bench-cifar", "bench-imagenet"])
def test_a_path_is_one_word_in_every_target(target):
    for commands in (said(target, f"DATA_ROOT={AWKWARD}"), said(target, DATA_ROOT=AWKWARD)):
        runs = [words for words in commands if "benchmarks" in words]
        assert runs
        for words in runs:
            assert words[words.index("--data-root") + 1] == AWKWARD


def test_so_is_every_other_variable():
    words = said("bench", "GPUS=0, 1", "EXECUTOR=ray x", "WORKERS=2 ", "YES=1", "LOGS=1")[-1]
    assert words[words.index("--gpus") + 1] == "0, 1"
    assert words[words.index("--executor") + 1] == "ray x"
    assert {"--yes", "--keep-logs"} < set(words)
    together = said("bench", "DDP=1", "GPUS=0,1", f"DATA_ROOT={AWKWARD}")[-1]
    assert together[:2] == ["CUDA_VISIBLE_DEVICES=0,1", ".venv/bin/python"]
    assert together[together.index("--data-root") + 1] == AWKWARD


def test_setup_takes_a_python_and_requirements_from_anywhere(tmp_path):
    requirements = tmp_path / "my requirements.txt"
    requirements.touch()
    # -W: as if they were newer than what is installed here
    words = said("setup", "PYTHON=/opt/my python/bin/python3", f"REQUIREMENTS={requirements}", f"-W{requirements}")
    assert words[0][:2] == ["/opt/my python/bin/python3", "-c"]
    assert words[1][:3] == ["/opt/my python/bin/python3", "-m", "venv"]
    assert words[2][-2:] == ["-r", str(requirements)]
