"""`python -m benchmarks.speed.records N`: what the commands that read records take when a suite has N finished cells.

The records are generated, not run: each is a published record of suite digits (so its shapes are real) under the settings
of another cell, with other seeds and hyperparameters and with counts and times drawn anew. They lie in a temporary folder,
as they are no evidence of anything. For each command: CPU seconds and peak memory of its process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import yaml

from benchmarks.cell.run import named
from benchmarks.records.matching import matched_by_name
from benchmarks.records.published import PublishedStore
from benchmarks.records.record import Counts, RunRecord
from benchmarks.records.store import Store
from benchmarks.request.catalogue import path_of
from benchmarks.request.grid import Grid, make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.suite import CellSettings

ROOT = Path(__file__).resolve().parents[2]
VARIED = {"ewc": "strength", "si": "strength", "er": "buffer_size", "a-gem": "buffer_size", "gem": "buffer_size"}
"""Of methods of suite digits: the hyperparameter in which its variants differ."""
VARIANTS = 6
NAME = "generated"
GUIDE = """
import sys
from pathlib import Path
from benchmarks.request.notes import keep_notes
from benchmarks.cli.asked import Asked, scan_of
from benchmarks.records.results import results_of
from benchmarks.report.guide import Evidence, guide
keep_notes()
grid, store = Asked(sys.argv[1], results_dir=Path(sys.argv[2])).grid_and_store()
scan = scan_of(store)
guide([Evidence("generated", ".", ".", results_of(grid, scan).runs, scan.places)])
"""
"""The command `guide` is of suites that come with Retain; this is the same of a file of one's own."""

MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, used = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(process.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
"""Runs a command and says what it took. A process of its own, and a small one: Linux counts as a program's peak what the
process held that started it."""


@dataclass(frozen=True)
class Taken:
    """CPU seconds, and MB at the peak, of one command."""

    seconds: float
    megabytes: float


def write_suite(folder: Path, cells: int) -> Path:
    """The YAML file of a suite like digits, with variants of its methods and as many seeds as give about `cells` cells."""
    document = yaml.safe_load(path_of("digits").read_text())
    methods = dict(document["methods"])
    for name, varied in VARIED.items():
        for k in range(1, VARIANTS):
            methods[f"{name}-{k}"] = {"method": name, varied: int(methods[name][varied]) + 10 * k}
    path = folder / f"{NAME}.yaml"
    document |= {"title": "Generated records", "methods": methods, "seeds": 1}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    document["seeds"] = max(1, round(cells / len(make_grid(load_suite(str(path))).cells)))
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def generate(suite: Path, results: Path) -> int:
    """Writes a finished record for each cell of `suite` below `results`. Gives their number."""
    grid, store = make_grid(load_suite(str(suite))), Store(results / "runs" / NAME)
    store.folder.mkdir(parents=True)
    for record in _records(grid):
        store.path(record).write_text(record.to_json())
    return len(grid.cells)


def _records(grid: Grid) -> Iterator[RunRecord]:
    digits = make_grid(load_suite("digits"))
    published = matched_by_name(digits, PublishedStore(ROOT / "results" / "published" / "digits").scan())
    templates: dict[tuple[str, str], list[RunRecord]] = {}
    for record in published.records.values():
        templates.setdefault((record.scenario, record.method), []).append(record)
    random = np.random.default_rng(0)
    for cell in grid.cells:
        alike = templates[cell.scenario_name, cell.method.name]
        yield _record(cell, alike[cell.seed % len(alike)], random)


def _record(cell: CellSettings, template: RunRecord, random: np.random.Generator) -> RunRecord:
    other = template.matrix_other
    return template.model_copy(
        update=named(cell)
        | {
            "seconds": {part: round(s * random.uniform(0.8, 1.2), 4) for part, s in template.seconds.items()},
            "matrix": _drawn(template.matrix, random),
            "matrix_other": _drawn(other, random) if other else None,
        }
    )


def _drawn(counts: Counts, random: np.random.Generator) -> Counts:
    """Counts as another run may have them: each image is answered right as often as in `counts`."""
    correct = [
        [None if n is None or c is None else int(random.binomial(n, c / n)) for c, n in zip(right, seen, strict=True)]
        for right, seen in zip(counts.correct, counts.total, strict=True)
    ]
    return Counts(correct=correct, total=counts.total)


def commands(suite: Path, results: Path) -> dict[str, list[str]]:
    """What is measured, by name: the arguments of Python."""
    verb, where = ["-m", "benchmarks"], ["--results-dir", str(results)]
    champion = ["--champion", str(results / "champion.json")]
    return {
        "status, the first": [*verb, "status", str(suite), *where],  # with torch, as nothing is noted of the suite
        "status": [*verb, "status", str(suite), *where],
        "run": [*verb, "run", str(suite), *where],
        "report": [*verb, "report", str(suite), *where, "--no-plots"],
        "report with plots": [*verb, "report", str(suite), *where],
        "guide": ["-c", GUIDE, str(suite), str(results)],
        "promote": [*verb, "promote", *champion, "--challenger", "er", "--suite", str(suite), *where],
        "gate": [*verb, "gate", *champion, "--challenger", "er-1", "--suite", str(suite), *where],
    }


def measure(arguments: Sequence[str], notes: Path) -> Taken:
    """Runs Python with `arguments`, which keeps its notes in the folder `notes`. Raises RuntimeError, with what it said, where it could not do what was asked."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(notes)}
    with tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-c", MEASURED, sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, env=environment, text=True)
        code, seconds, kilobytes = done.stdout.split()
        if int(code) not in (0, 1, 3):  # a gate that fails or needs more seeds has done its work
            said.seek(0)
            raise RuntimeError(f"{' '.join(arguments[:3])}: exit code {code}: {said.read()[-2000:]}")
    return Taken(float(seconds), int(kilobytes) / 1000)


def main(cells: Annotated[int, typer.Argument(metavar="N", min=1, help="about how many cells")] = 3000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        suite, results = write_suite(Path(folder), cells), Path(folder) / "results"
        print(f"{generate(suite, results):,} finished cells")
        for name, arguments in commands(suite, results).items():
            taken = measure(arguments, Path(folder) / "notes")
            print(f"{name:<18} {taken.seconds:7.1f} s of CPU {taken.megabytes:7.0f} MB", flush=True)
        page = results / "leaderboards" / "index.html"
        print(f"page               {page.stat().st_size / 1e6:7.2f} MB")


if __name__ == "__main__":
    typer.run(main)
