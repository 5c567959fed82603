"""Checked-in records of real runs give the same markdown, csv and LaTeX to the byte.

Where a report is meant to change, render the files anew from the records and read the difference:

    python -m tests.benchmarks.test_report_golden

Where the records' format has changed as well, run the cells of golden/small.yaml anew (half a minute):

    python -m tests.benchmarks.test_report_golden --run
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.records.store import Scan, Store
from benchmarks.report.write import Report, write_report
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from tests.benchmarks.test_report_fixtures import recorded_grid

GOLDEN = Path(__file__).parent / "golden"
SUITE = str(GOLDEN / "small.yaml")
RECORDS = Store(GOLDEN / "records")
# As recorded, like all else: these files must not change when a method's defaults or words do.
IMPOSSIBLE = {
    ("split-digits/class", "pnn"): "PNN needs the task id at test, which the class-incremental setting withholds"
}


def render(scan: Scan, folder: Path) -> Report:
    return write_report(recorded_grid(load_suite(SUITE), scan, IMPOSSIBLE), scan, folder)


@pytest.fixture(scope="module")
def scan() -> Scan:
    return RECORDS.scan()


def test_all_golden_records_are_read(scan):
    assert scan.problems == []
    assert len(scan.records) == 27  # 2 scenarios x 5 methods x 3 seeds, but for pnn without a task id


@pytest.mark.parametrize("ending", ["md", "csv", "tex"])
def test_report_of_the_golden_records(scan, tmp_path, ending):
    render(scan, tmp_path)
    name = f"small.{ending}"
    assert (tmp_path / name).read_text() == (GOLDEN / name).read_text()
    assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()


def regenerate(run: bool) -> None:
    """Writes golden/small.* and, with `run`, the records first."""
    if run:
        import torch

        from benchmarks.cell.run import run_cell

        torch.set_num_threads(1)
        for old in RECORDS.folder.glob("*.json"):
            old.unlink()
        for cell in make_grid(load_suite(SUITE)).cells:
            RECORDS.save(run_cell(cell))
    print(render(RECORDS.scan(), GOLDEN).text)


if __name__ == "__main__":
    regenerate("--run" in sys.argv[1:])
