"""What is made of records is made once: their matrices, their scores, and the reading of their files."""

from __future__ import annotations

from unittest import mock

import pytest

from benchmarks.records.results import results_of
from benchmarks.records.store import Store
from benchmarks.report import make_leaderboard
from benchmarks.report.overview import write_index
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from metrics import AccuracyMatrix, score
from tests.benchmarks.test_report_fixtures import PLAIN, counts, planted, planted_cell, recorded


def test_a_matrix_is_made_once_and_never_of_other_counts():
    own = counts(PLAIN)
    assert own.matrix() is own.matrix()
    assert score("acc", own.matrix()) == pytest.approx((0.70 + 0.78 + 0.85) / 3)
    changed = own.model_copy(update={"correct": [*own.correct[:-1], [10, 20, 30]]})
    assert score("acc", changed.matrix()) == pytest.approx(0.2)
    assert own == counts(PLAIN)
    assert own != changed


def test_a_leaderboard_makes_no_matrix_of_a_record_twice():
    grid, scan = recorded([planted(m, s) for m in ("er", "ewc", "finetune", "joint") for s in (0, 1, 2)])
    for record in scan.records.values():
        record.matrix.matrix()
    with mock.patch.object(AccuracyMatrix, "from_counts", side_effect=AssertionError("made again")):
        make_leaderboard(results_of(grid, scan))


def test_the_index_reads_no_records_that_are_at_hand(tmp_path):
    store = Store(tmp_path / "runs" / "digits")
    store.save(planted_cell(make_grid(load_suite("digits", ["er"], ["split-digits/domain"], [0])).cells[0]))
    scan, expected = store.scan(), write_index(tmp_path).read_bytes()
    assert b"split-digits/domain" in expected
    with mock.patch.object(Store, "scan", side_effect=AssertionError("read again")):
        assert write_index(tmp_path, read={store.folder: scan}).read_bytes() == expected
