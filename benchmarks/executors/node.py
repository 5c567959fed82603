"""One cell on another machine, which `local` runs there; `on_ray` brings it and takes its record home."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.executors.contract import Limits
from benchmarks.executors.local import run_local
from benchmarks.records.claims import Claims, live_claims
from benchmarks.request.suite import CellSettings
from benchmarks.watch.choice import Watching
from scenarios import DataNotFound


@dataclass(frozen=True)
class Job:
    """What is the same for all cells of a run. folder: where the runner has its records; data_root: None for each
    node's own DATA_ROOT; device: "cpu", or "cuda:0" for the GPU that the node gives; run: the word in the runner's
    claims."""

    folder: str
    data_root: str | None
    device: str
    threads: int
    watching: Watching
    limits: Limits
    run: str


def run_on_node(job: Job, cell: CellSettings) -> tuple[str, str, tuple[str, ...]]:
    """Runs `cell` on this machine; gives its record as JSON, the name of the machine, and warnings as in an Outcome.

    Where the runner's folder is here too, which its claim shows, record, checkpoints and logs lie there, and a cell of a
    lost node goes on from its last finished task. Elsewhere the record alone comes home. Raises DataNotFound with the
    machine's name.
    """
    folder, host = Path(job.folder), platform.node()
    claim = live_claims(folder).get(cell.identity)
    shared = claim is not None and claim.run == job.run
    if not shared:
        folder = Path(tempfile.gettempdir()) / f"retain-{os.getuid()}" / job.run / cell.identity
    claims = Claims(folder, job.run)
    try:
        (outcome,) = run_local(
            [cell], folder, job.data_root, [job.device], job.threads, job.watching, job.limits, claims
        )
        assert outcome.record is not None, "every cell that is finished leaves one"
        return outcome.record.to_json(), host, outcome.warnings
    except DataNotFound as error:
        raise DataNotFound(f"node {host}: {error}; set DATA_ROOT on that node") from None
    finally:
        if not shared:
            shutil.rmtree(folder, ignore_errors=True)
