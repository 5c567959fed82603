"""Checked-in records of real runs give the same page and the same SVG to the byte.

Where plots are meant to change, draw them anew and look at the new ones before they are committed:

    python -m tests.benchmarks.test_plots_golden

The records are those of test_report_golden. Of the page's plots, those of one scenario are kept.
"""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from benchmarks.report.plots import write_plots
from benchmarks.request.load import load_suite
from tests.benchmarks.test_report_fixtures import recorded_grid
from tests.benchmarks.test_report_golden import GOLDEN, IMPOSSIBLE, RECORDS, SUITE

PLOTS = GOLDEN / "plots"
KEPT = "split-digits.task"
LOCK = (Path(__file__).parents[2] / "requirements.lock").read_text()
LOCKED = re.search(r"^matplotlib==(\S+)", LOCK, re.MULTILINE)


def draw(folder: Path) -> list[Path]:
    scan = RECORDS.scan()
    return write_plots(recorded_grid(load_suite(SUITE), scan, IMPOSSIBLE), scan, folder)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    draw(folder)
    return folder


def test_page_of_the_golden_records(drawn):
    assert (drawn / "small.plots.md").read_text() == (PLOTS / "small.plots.md").read_text()


@pytest.mark.skipif(
    LOCKED is None or version("matplotlib") != LOCKED[1],
    reason="golden SVG belong to the matplotlib of requirements.lock; every release draws a little differently",
)
@pytest.mark.parametrize("plot", ["cost", "tasks", "matrices", "forgetting"])
def test_plots_of_the_golden_records(drawn, plot):
    name = f"small.plots/{KEPT}.{plot}.svg"
    # not compared as text: the difference of two drawings fills a screen and says nothing
    same = (drawn / name).read_bytes() == (PLOTS / name).read_bytes()
    assert same, f"{name} changed; see this file's docstring"


def regenerate() -> None:
    """Writes golden/plots anew."""
    shutil.rmtree(PLOTS / "small.plots", ignore_errors=True)
    for path in draw(PLOTS):
        if path.suffix == ".svg" and not path.name.startswith(KEPT):
            path.unlink()


if __name__ == "__main__":
    regenerate()
