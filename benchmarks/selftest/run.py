"""Runs the checks, each in a worker that may end without ending the rest, and writes what was found."""

from __future__ import annotations

import json
import multiprocessing
import re
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from benchmarks.cell.environment import environment
from benchmarks.records.atomic_write import write_whole
from benchmarks.selftest.checks import Row, perform, plan

SECONDS = 300
"""Of one check, at most; its worker is then ended."""


def selftest(
    device: str, results: Path, quick: bool = False, say: Callable[[str], None] = print, minutes: float = 10.0
) -> tuple[list[Row], Path]:
    """The row of every check on `device`, and the file that they are written to, under `results`/selftest.

    Checks that begin after `minutes` are left out, and say so. say: hears a line a check, then the table.
    """
    start, rows = time.perf_counter(), []
    for row in carried_out(plan(quick), device, quick, start + 60 * minutes):
        rows.append(row)
        say(f"{_mark(row)} {row.check} {row.subject}: {row.said}")
    say(table(rows))
    found = environment(device)
    name = re.sub(r"[^a-z0-9]+", "-", found["hardware"].lower()).strip("-")
    document = {
        "device": found["hardware"],
        "environment": found,
        "quick": quick,
        "seconds": round(time.perf_counter() - start, 1),
        "passed": passed(rows),
        "checks": [row.document() for row in rows],
    }
    path = results / "selftest" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return rows, path


def passed(rows: list[Row]) -> bool:
    """Whether no check failed; one that was left out has not."""
    return all(row.passed is not False for row in rows)


def table(rows: list[Row]) -> str:
    """A line a check: how many subjects passed, were left out, failed, and the furthest figures."""
    lines = []
    for check in dict.fromkeys(row.check for row in rows):
        of_check = [row for row in rows if row.check == check]
        counts = [sum(row.passed is value for row in of_check) for value in (True, None, False)]
        memory = max((row.figures.get("peak_bytes", 0.0) for row in of_check), default=0.0)
        furthest = max(
            (row.figures["loss_difference"] for row in of_check if "loss_difference" in row.figures), default=None
        )
        shown = "" if furthest is None else f"{furthest:.1e}"
        lines.append([check, *counts, shown, f"{memory / 2**20:,.0f}" if memory else ""])
    headers = ["check", "passed", "left out", "failed", "largest loss difference", "peak MiB"]
    text = tabulate(lines, headers, tablefmt="simple", disable_numparse=True)
    failed = [f"failed: {row.check} {row.subject}: {row.said}" for row in rows if row.passed is False]
    return "\n".join(["", text, *failed])


def carried_out(checks: list[tuple[str, str]], device: str, quick: bool, until: float) -> Iterator[Row]:
    """The rows of `checks`, in order; a worker that dies, hangs or has lost its device is replaced for the next."""
    worker: Worker | None = None
    try:
        for check, subject in checks:
            if time.perf_counter() > until:
                yield Row(check, subject, None, "the time was up")
                continue
            worker = worker or Worker(device, quick)
            row, whole = worker.perform(check, subject)
            if not whole:
                worker.end()
                worker = None
            yield row
    finally:
        if worker is not None:
            worker.end()


class Worker:
    """A process of its own that performs one check after the other."""

    def __init__(self, device: str, quick: bool):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, device, quick, torch.get_num_threads()), daemon=False)
        self.process.start()
        other.close()

    def perform(self, check: str, subject: str) -> tuple[Row, bool]:
        """The row, and whether the worker can go on."""
        try:
            self.pipe.send((check, subject))
            if not self.pipe.poll(SECONDS):
                return Row(check, subject, False, f"did not end in {SECONDS} s"), False
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(10)
            return Row(check, subject, False, f"its process ended with exit code {self.process.exitcode}"), False

    def end(self) -> None:
        self.pipe.close()  # what it waits for then ends it
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _work(pipe: Connection, device: str, quick: bool, threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        while True:
            check, subject = pipe.recv()
            row = perform(check, subject, device, quick)
            pipe.send((row, _device_lives(device)))
    except (EOFError, OSError):
        pass


def _device_lives(device: str) -> bool:
    """Whether the device still computes: after some errors a process of CUDA's can only be ended."""
    try:
        answer: Any = torch.ones(2, device=device).sum().item()
    except Exception:
        return False
    return answer == 2


def _mark(row: Row) -> str:
    return {True: "ok  ", False: "FAIL", None: "--  "}[row.passed]
