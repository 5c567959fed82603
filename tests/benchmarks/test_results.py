"""One frame of results: each record's matrix and scores are made once, and every view shows the same ones."""

from __future__ import annotations

from unittest import mock

import pytest

from benchmarks.report import make_leaderboard
from metrics import AccuracyMatrix
from tests.benchmarks.test_report_fixtures import PLAIN, counts, planted, recorded


def test_a_matrix_is_made_once_and_never_of_other_counts():
    own = counts(PLAIN)
    assert own.matrix() is own.matrix()
    assert own.score("acc") == pytest.approx((0.70 + 0.78 + 0.85) / 3)
    changed = own.model_copy(update={"correct": [*own.correct[:-1], [10, 20, 30]]})
    assert changed.score("acc") == pytest.approx(0.2)
    assert own == counts(PLAIN)
    assert own != changed


def test_a_leaderboard_makes_no_matrix_of_a_record_twice():
    grid, scan = recorded([planted(m, s) for m in ("er", "ewc", "finetune", "joint") for s in (0, 1, 2)])
    for record in scan.records.values():
        record.matrix.matrix()
    with mock.patch.object(AccuracyMatrix, "from_counts", side_effect=AssertionError("made again")):
        make_leaderboard(grid, scan)
