"""Cells as jobs of Slurm, by submitit: one array, each job one cell, on a folder that all nodes share.

A job that Slurm stops, for its time or for another's sake, is put back into the queue and its cell goes on from its last
finished task. Which cell is which job stands in the folder `slurm` beside the records, so a later `run` waits for the
jobs of an earlier one, and `status` shows them.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.executors.contract import USUAL, Limits, Outcome, StorageFailed, outcome_of
from benchmarks.executors.ends import with_printed
from benchmarks.executors.local import run_local
from benchmarks.executors.node import Job
from benchmarks.executors.queue import Version, Versions, record_since, versions
from benchmarks.executors.slurm_queue import queued_jobs, submitted
from benchmarks.records.atomic_write import write_whole
from benchmarks.records.claims import Claims
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.suite import CellSettings
from benchmarks.watch.choice import QUIET, Watching

LOOK = 5.0
"""Seconds between two looks at records and queue."""
MOST_REQUEUES = 10**6
MOST_JOBS = 1000
"""Of one array: Slurm's own default limit is 1001."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class CellJob:
    """What a job of Slurm does: one cell. Its word in the claims is the same when it is put back into the queue. before:
    the record that lay there when it was submitted, so that a job whose record exists ends at once."""

    cell: CellSettings
    job: Job
    before: Version | None

    def __call__(self) -> str:
        job = self.job
        outcomes = run_local(
            [self.cell],
            Path(job.folder),
            job.data_root,
            [job.device],
            job.threads,
            job.watching,
            job.limits,
            Claims(Path(job.folder), job.run),
            {self.cell.identity: self.before},
        )
        return "; ".join(outcome.status for outcome in outcomes)

    def checkpoint(self) -> Any:
        """For submitit: what is run where the job is put back into the queue."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def parse_options(text: str | None) -> dict[str, str]:
    """The options of sbatch in "partition=gpu,time=4:00:00,gpus=1". Raises SettingsError, also where `time` is missing."""
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        name, is_, value = part.strip().partition("=")
        if not (name and is_ and value):
            raise SettingsError(["--slurm: say option=value, e.g. partition=gpu,time=4:00:00,gpus=1"])
        found[name.removeprefix("--")] = value
    if "time" not in found:
        raise SettingsError(
            ["--slurm: say how long a job may take, e.g. time=4:00:00; a cell of more goes on in the next"]
        )
    minutes(found["time"])
    threads = found.get("cpus-per-task", "1")
    if not threads.isdecimal() or int(threads) < 1:
        raise SettingsError([f"--slurm cpus-per-task={threads}: say a number of processors, e.g. 2"])
    return found


def minutes(text: str) -> int:
    """Of a time as sbatch takes it: minutes, m:s, h:m:s, d-h, d-h:m, d-h:m:s. Raises SettingsError."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in [*parts, *([days] if dash else [])]) or len(parts) > 3:
        raise SettingsError([f"--slurm time={text}: say minutes, h:m:s or d-h:m:s"])
    numbers = [int(part) for part in parts]
    if dash:
        h, m, s = [*numbers, 0, 0][:3]
    elif len(numbers) == 3:
        h, m, s = numbers
    else:
        h, (m, s) = 0, [*numbers, 0][:2]
    return max(1, int(days or 0) * 1440 + h * 60 + m + -(-s // 60))


def run_on_slurm(
    cells: list[CellSettings],
    folder: Path,
    data_root: str | None,
    options: dict[str, str],
    detach: bool = False,
    watching: Watching = QUIET,
    limits: Limits = USUAL,
    cluster: str = "slurm",
    before: Versions | None = None,
) -> Generator[Outcome, None, None]:
    """Submits `cells` and yields each as its record appears; detach: ends when all are submitted.

    options: of sbatch, as `parse_options` gives them. cluster: "slurm", or submitit's "local" for tests. before: as for Queue.
    Closing the generator leaves the jobs in the queue: the same `run` again waits for them. Raises SettingsError where
    there is no Slurm or it refuses the options.
    """
    store = Store(folder.resolve())
    before = versions(store, cells) if before is None else before
    left = []
    for cell in cells:
        if record := record_since(store, cell, before[cell.identity]):
            yield outcome_of(cell, record, "another run")
        else:
            left.append(cell)
    cells = left
    queued = submitted(store.folder) if cluster == "slurm" else {}
    new = [cell for cell in cells if cell.identity not in queued]
    jobs = {identity: job for identity, (job, _) in queued.items()}
    handles: dict[str, Any] = {}
    for start in range(0, len(new), MOST_JOBS):
        chosen = new[start : start + MOST_JOBS]
        for cell, job in zip(chosen, _submit(chosen, store, data_root, options, watching, limits, cluster, before)):
            jobs[cell.identity], handles[cell.identity] = job.job_id, job
    if not detach:
        yield from _outcomes(cells, store, jobs, handles, before)


def _submit(chosen, store, data_root, options, watching, limits, cluster, before) -> list[Any]:
    executor = _executor(store.folder / "slurm", options, cluster)
    gpu = any(name.startswith("gpus") or (name == "gres" and "gpu" in value) for name, value in options.items())
    threads = int(options.get("cpus-per-task", 1))
    device = "cuda:0" if gpu else "cpu"
    tasks = [
        CellJob(
            cell,
            Job(str(store.folder), data_root, device, threads, watching, limits, uuid.uuid4().hex),
            before[cell.identity],
        )
        for cell in chosen
    ]
    try:
        with executor.batch():
            jobs = [executor.submit(task) for task in tasks]
    except Exception as error:  # submitit's own, of which some say what sbatch did
        raise SettingsError([f"--slurm: no job could be submitted: {error}"]) from None
    known = {cell.identity: job.job_id for cell, job in zip(chosen, jobs)}
    write_whole(store.folder / "slurm" / f"{jobs[0].job_id.partition('_')[0]}.cells.json", json.dumps(known))
    return jobs


def _executor(folder: Path, options: dict[str, str], cluster: str) -> Any:
    try:
        import submitit
    except ImportError:
        raise SettingsError(["--executor slurm needs submitit: pip install -r requirements-slurm.txt"]) from None
    if cluster == "local":
        return submitit.LocalExecutor(folder, max_num_timeout=MOST_REQUEUES)
    try:
        executor = submitit.SlurmExecutor(folder, max_num_timeout=MOST_REQUEUES)
    except RuntimeError:
        raise SettingsError(["--executor slurm: there is no Slurm here (no srun): run it on a login node"]) from None
    rest = {name: value for name, value in options.items() if name != "time"}
    executor.update_parameters(
        job_name="retain",
        time=minutes(options["time"]),
        setup=[f"export PYTHONPATH={ROOT}:$PYTHONPATH", f"cd {ROOT}"],
        additional_parameters={"requeue": True, **rest},
    )
    return executor


def _outcomes(cells, store: Store, jobs: dict[str, str], handles, before) -> Iterator[Outcome]:
    left, absent = list(cells), set[str]()
    while left:
        queued = queued_jobs([jobs[cell.identity] for cell in left]) if not handles else None
        waiting = []
        for cell in left:
            record = record_since(store, cell, before[cell.identity])
            handle = handles.get(cell.identity)
            if record is not None:
                yield outcome_of(cell, record, f"job {jobs[cell.identity]}")
            elif not _has_ended(jobs[cell.identity], handle, queued):
                absent.discard(cell.identity)
                waiting.append(cell)
            elif cell.identity not in absent:  # a network folder shows its record in a moment
                absent.add(cell.identity)
                waiting.append(cell)
            else:
                yield _without_record(cell, store, jobs[cell.identity])
        left = waiting
        if left:
            time.sleep(LOOK)


def _has_ended(job: str, handle: Any, queued: dict[str, str] | None) -> bool:
    if queued is None and handle is not None and type(handle).__name__ == "LocalJob":
        return handle.done()
    return job not in (queued if queued is not None else queued_jobs([job]))


def _without_record(cell: CellSettings, store: Store, job: str) -> Outcome:
    from benchmarks.cell.run import failed_record

    logs = sorted((store.folder / "slurm").glob(f"{job}_*_log.err"))
    printed = "\n".join(logs[-1].read_text(errors="replace").splitlines()[-100:]) if logs else ""
    error = (
        f"job {job} left Slurm's queue without a record (cancelled, or its node was lost); `sacct -j {job}` may say why"
    )
    try:
        store.save(record := failed_record(cell, with_printed(error, printed), 0.0))
    except OSError as failure:
        raise StorageFailed(f"{cell.label}: {failure}") from None
    return outcome_of(cell, record)
