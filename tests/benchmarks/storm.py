"""A grid whose processes are killed again and again ends with the records of one that was left alone.

    python -m tests.benchmarks.storm --kills 300

Strikes at random moments: SIGKILL to a worker or to the runner, SIGTERM, SIGHUP or SIGINT to the runner, the same while
a worker is stopped (SIGSTOP), and SIGKILL to whichever process has half written a file or has just put one in place.
After each runner's end none of its processes may live 5 seconds on. Once all cells are done, or the strikes are used
up, a last run is left alone; then the records and the names of all files must be those of an undisturbed run, and the
storm goes on in a new folder.

A start of the runner and its workers costs seconds of imports. So this process imports once, and runners are forks of
it that execute the command, whose workers are forks of them; `--commands` of the strikes fall on the command itself,
started as a user does. Linux only. The exit code is 1 where something was found, which is printed.
"""

from __future__ import annotations

import argparse
import mmap
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# forks cannot use the threads of their parent
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

from benchmarks.cli.app import main
from benchmarks.executors.worker import warm_up
from benchmarks.records.store import Store
from tests.benchmarks.helpers import suite_file

ORPHANS_END = 5.0
"""Seconds after its runner's end at which no process of it may live."""

END_THE_RUNNER = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
HALF_WRITTEN, JUST_PUT = 1, 2

fuse = mmap.mmap(-1, 1)  # shared with forks: where in writing a file the next process to come there is killed


@dataclass
class Runner:
    """A run of the suite in a session of its own, whose number is `pid`."""

    pid: int
    ended: bool = False
    code: int | None = None

    def poll(self) -> bool:
        """Whether it has ended; `code` is then its exit code, negative for a signal."""
        if not self.ended:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.ended, self.code = True, os.waitstatus_to_exitcode(status)
        return self.ended

    def processes(self) -> list[int]:
        """Those of its session that live, the runner included."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session, *_ = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(session) == self.pid and state not in "ZX":
                found.append(int(path.parent.name))
        return found


class Storm:
    def __init__(self, folder: Path, seed: int, seeds: int, workers: int):
        self.folder = folder
        self.random = random.Random(seed)
        self.workers = str(workers)
        self.suite = suite_file(folder, "{finetune: {}, er: {buffer_size: 5}}", seeds=seeds)
        self.strikes: Counter[str] = Counter()
        self.runs = 0
        self.longest = 0.0
        self.faults: list[str] = []

    def arguments(self, results: Path) -> list[str]:
        return [
            "run",
            str(self.suite),
            "--results-dir",
            str(results),
            "--workers",
            self.workers,
            "--yes",
            "--keep-logs",
        ]

    def start(self, results: Path, as_command: bool) -> Runner:
        self.runs += 1
        with open(self.folder / "output.txt", "ab") as output:
            if as_command:
                command = [sys.executable, "-m", "benchmarks", *self.arguments(results)]
                child = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
                child.returncode = 0  # Runner waits for it
                return Runner(child.pid)
            pid = os.fork()
            if pid == 0:
                os.setsid()
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                sys.argv = ["benchmarks", *self.arguments(results)]
                code: object = 0
                try:
                    main()
                except SystemExit as end:
                    code = end.code
                finally:
                    sys.stdout.flush()
                    os._exit(code if isinstance(code, int) else 1)
            return Runner(pid)

    def undisturbed(self, results: Path) -> float:
        """Runs to the end; gives the seconds that took."""
        start = time.monotonic()
        runner = self.start(results, False)
        while not runner.poll():
            time.sleep(0.02)
        if runner.code != 0:
            self.faults.append(f"{results.name}: an undisturbed run ended with {runner.code}")
        self.check_orphans(runner, results)
        return time.monotonic() - start

    def strike(self, runner: Runner, as_command: bool) -> None:
        """One of the strikes, chosen at random."""
        workers = [pid for pid in runner.processes() if pid != runner.pid and not is_tracker(pid)]
        kinds = {"worker": 5, "runner": 3, "stopped worker": 1, "half written": 0 if as_command else 4}
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        if kind == "half written":
            point = self.random.choice((HALF_WRITTEN, JUST_PUT))
            fuse[0] = point
            deadline = time.monotonic() + 10
            while fuse[0] and not runner.poll() and time.monotonic() < deadline:
                time.sleep(0.002)
            if not fuse[0]:
                self.strikes["writer, half way" if point == HALF_WRITTEN else "writer, file just put in place"] += 1
            fuse[0] = 0
            return
        number = self.random.choice(END_THE_RUNNER)
        if kind == "runner" or not workers:
            self.hit(runner.pid, number, f"runner, {number.name}")
        elif kind == "worker":
            self.hit(self.random.choice(workers), signal.SIGKILL, "worker, SIGKILL")
        else:
            try:
                os.kill(self.random.choice(workers), signal.SIGSTOP)
            except ProcessLookupError:
                return
            self.hit(runner.pid, number, f"runner with a stopped worker, {number.name}")
            return

    def hit(self, pid: int, number: signal.Signals, name: str) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return  # it had just ended
        self.strikes[name] += 1

    def check_orphans(self, runner: Runner, results: Path) -> None:
        start = time.monotonic()
        while living := runner.processes():
            if time.monotonic() - start > ORPHANS_END:
                commands = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in living]
                self.faults.append(f"{results.name}: alive {ORPHANS_END:g} s after the runner's end: {commands}")
                for pid in living:
                    os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.01)
        self.longest = max(self.longest, time.monotonic() - start)

    def campaign(self, results: Path, reference: Path, strikes: int, as_command: bool, pause: float) -> int:
        """Strikes, at most so many, in one results folder until all is done there; then the checks. Gives how many."""
        before = self.strikes.total()
        done = False
        while not done and self.strikes.total() - before < strikes:
            runner = self.start(results, as_command)
            while self.strikes.total() - before < strikes:
                wait = time.monotonic() + self.random.expovariate(1 / pause)
                while not runner.poll() and time.monotonic() < wait:
                    time.sleep(0.005)
                if runner.ended:
                    break
                self.strike(runner, as_command)
            while self.strikes.total() - before < strikes and not runner.poll():
                time.sleep(0.01)
            if not runner.ended:  # the strikes are used up, the last may have been to a worker
                os.kill(runner.pid, signal.SIGTERM)
                while not runner.poll():
                    time.sleep(0.01)
            self.check_orphans(runner, results)
            done = runner.code == 0
        self.undisturbed(results)
        self.compare(results, reference)
        return self.strikes.total() - before

    def compare(self, results: Path, reference: Path) -> None:
        """The records and the names of all files are those of the undisturbed run."""
        files, expected = names(results), names(reference)
        for word, some in (("stray", files - expected), ("missing", expected - files)):
            if some:
                self.faults.append(f"{results.name}: {word} files: {sorted(some)}")
        ours, theirs = (Store(folder / "runs" / "tiny").scan() for folder in (results, reference))
        self.faults += [f"{results.name}: {problem}" for problem in ours.problems]
        for identity, record in theirs.records.items():
            mine = ours.records.get(identity)
            if mine is None or mine.status != "done" or mine.comparable() != record.comparable():
                self.faults.append(f"{results.name}: another record of {record.method} seed {record.seed}")


def is_tracker(pid: int) -> bool:
    """Whether this is the process in which multiprocessing of Python keeps count of what to clean up."""
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def lay_fuse() -> None:
    """From now on a process that writes a file dies as `fuse` says."""
    put = os.replace

    def replace(source: Path, target: Path) -> None:
        point = fuse[0]
        if point == HALF_WRITTEN:
            os.truncate(source, os.path.getsize(source) // 2)
        if point != HALF_WRITTEN:
            put(source, target)
        if point:
            fuse[0] = 0
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace  # type: ignore[assignment]


def storm(kills: int, commands: int, seed: int, seeds: int, workers: int) -> int:
    """Prints what it did and found; gives the exit code."""
    start = time.monotonic()
    multiprocessing.get_context = lambda method=None: multiprocessing.context._concrete_contexts["fork"]  # type: ignore
    lay_fuse()
    warm_up()  # forks need not
    with tempfile.TemporaryDirectory(prefix="storm") as folder:
        it = Storm(Path(folder), seed, seeds, workers)
        reference = Path(folder) / "reference"
        seconds = it.undisturbed(reference)
        campaigns = 0
        while (made := it.strikes.total()) < kills and not it.faults:
            as_command = made < commands
            left = min(kills, commands) - made if as_command else kills - made
            results = Path(folder) / f"results{campaigns}"
            # a command spends most of its time on imports
            it.campaign(results, reference, left, as_command, 4 * seconds if as_command else seconds / 8)
            campaigns += 1
            print(f"{it.strikes.total()} of {kills} strikes, {time.monotonic() - start:.0f} s", flush=True)
        print(
            f"{it.strikes.total()} strikes on {it.runs} runs of {2 * seeds} cells in {campaigns} folders, "
            f"{time.monotonic() - start:.0f} s; no process outlived its runner by more than {it.longest:.2f} s"
        )
        for name, count in sorted(it.strikes.items()):
            print(f"{count:5} {name}")
        for fault in it.faults:
            print("FAULT", fault)
        if it.faults:
            print((Path(folder) / "output.txt").read_text()[-3000:])
    return 1 if it.faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--commands", type=int, default=8, help="so many of them on the command as a user starts it")
    parser.add_argument("--seed", type=int, default=0, help="of the storm's choices")
    parser.add_argument("--seeds", type=int, default=6, help="of the suite: it has twice as many cells")
    parser.add_argument("--workers", type=int, default=2)
    a = parser.parse_args()
    sys.exit(storm(a.kills, a.commands, a.seed, a.seeds, a.workers))
