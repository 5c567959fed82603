"""Which cells are jobs that Slurm has queued or runs. Looking at the queue takes no torch."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from benchmarks.request.errors import SettingsError


def submitted(folder: Path) -> dict[str, tuple[str, str]]:
    """The cells of the records in `folder` whose jobs are queued or running, by identity: job and Slurm's state."""
    known: dict[str, str] = {}
    for path in sorted((folder / "slurm").glob("*.cells.json"), key=lambda path: path.stat().st_mtime):
        known |= json.loads(path.read_text())
    states = queued_jobs(list(known.values())) if known else {}
    return {identity: (job, states[job]) for identity, job in known.items() if job in states}


def queued_jobs(jobs: list[str]) -> dict[str, str]:
    """Those of `jobs` that Slurm has queued or runs, with their states. Raises SettingsError where it does not answer."""
    command = ["squeue", "--noheader", "--array", "--format", "%i %T", "--jobs", ",".join(jobs)]
    for wait in (1, 5, 20, 60, 0):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except FileNotFoundError:
            return {}
        except subprocess.TimeoutExpired as error:
            said = str(error)
        else:
            if done.returncode == 0:
                lines = (line.split() for line in done.stdout.splitlines())
                return {
                    name: state for name, state in lines if state != "COMPLETED"
                }  # one put back is COMPLETING first
            said = done.stderr.strip()
            if "Invalid job id" in said:  # all are long gone
                return {}
        time.sleep(wait)
    raise SettingsError([f"squeue does not answer: {said}"])
