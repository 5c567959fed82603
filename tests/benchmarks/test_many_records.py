"""What reading many records takes, in CPU seconds and bytes a record; `python -m benchmarks.speed.records` has the rest."""

import time
import tracemalloc

import pytest

from benchmarks.records.matching import counts
from benchmarks.records.store import Store
from benchmarks.report.page.document import write_page
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.write import write_report
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.speed.records import NAME, generate, write_suite

CELLS = 330


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    suite = write_suite(folder, CELLS)
    written = generate(suite, folder / "results")
    return make_grid(load_suite(str(suite))), Store(folder / "results" / "runs" / NAME), written


def test_generated_records_are_believed_and_all_different(generated):
    grid, store, written = generated
    scan = store.scan()
    assert scan.problems == []
    assert counts(grid, scan) == {"done": written, "missing": 0, "failed": 0, "diverged": 0}
    assert abs(written - CELLS) <= CELLS / 3
    records = scan.records.values()
    assert len({str(record.matrix.correct) for record in records}) > 0.9 * written
    assert {len(record.matrix.correct) for record in records} == {6}


def test_a_record_is_read_in_two_milliseconds_and_kept_in_40_kilobytes(generated):
    """Measured on a busy machine: 0.3 to 0.5 ms, and 18 kB."""
    _, store, written = generated
    store.scan()  # what is imported and built once
    start = time.process_time()
    store.scan()
    assert (time.process_time() - start) / written < 2e-3
    tracemalloc.start()
    try:
        scan = store.scan()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(scan.records) == written
    assert kept / written < 40e3


def test_tables_of_many_methods_take_seconds_and_their_page_stays_small(generated, tmp_path):
    """The size of tables and page is that of methods, not of seeds."""
    grid, store, _ = generated
    scan = store.scan()
    start = time.process_time()
    write_report(grid, scan, tmp_path)
    page = write_page(tmp_path, [PageSuite.of(grid, scan)])
    assert time.process_time() - start < 10
    assert page.stat().st_size < 2e6
