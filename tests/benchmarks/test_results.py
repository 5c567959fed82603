"""What is made of records is made once: their matrices, their scores, and the reading of their files."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from benchmarks.records import record, results
from benchmarks.records.results import results_of
from benchmarks.records.store import Store
from benchmarks.report.leaderboard import make_leaderboard
from benchmarks.report.overview import write_index
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from metrics import SCORES, AccuracyMatrix, mean_accuracy_curve, score
from tests.benchmarks.test_report_fixtures import PLAIN, SCENARIO, counts, planted, planted_cell, recorded, shifted


def test_a_matrix_is_made_once_and_never_of_other_counts():
    own = counts(PLAIN)
    assert own.matrix() is own.matrix()
    assert score("acc", own.matrix()) == pytest.approx((0.70 + 0.78 + 0.85) / 3)
    changed = own.model_copy(update={"correct": [*own.correct[:-1], [10, 20, 30]]})
    assert score("acc", changed.matrix()) == pytest.approx(0.2)
    assert own == counts(PLAIN)
    assert own != changed


def test_a_leaderboard_reads_no_counts_of_a_record_twice():
    grid, scan = recorded([planted(m, s) for m in ("er", "ewc", "finetune", "joint") for s in (0, 1, 2)])
    expected = make_leaderboard(results_of(grid, scan))
    results._kept.clear()
    with (
        mock.patch.object(record, "arrays_of", side_effect=AssertionError("read again")),
        mock.patch.object(AccuracyMatrix, "from_counts", side_effect=AssertionError("made again")),
    ):
        assert make_leaderboard(results_of(grid, scan)).tables == expected.tables


def test_results_are_kept_as_long_as_the_records_are_the_same():
    grid, scan = recorded([planted(m, s) for m in ("er", "finetune") for s in (0, 1)])
    first = results_of(grid, scan)
    assert results_of(grid, scan) is first
    assert make_leaderboard(first) is make_leaderboard(first)
    identity = next(iter(scan.records))
    scan.records[identity] = scan.records[identity].model_copy(update={"seconds": {"training": 1e6}})
    again = results_of(grid, scan)
    assert again is not first
    assert len(again.frame) == len(first.frame)
    del scan.records[identity]
    assert len(results_of(grid, scan).frame) == len(first.frame) - 1


def test_the_frame_has_every_score_and_cost_of_every_record():
    shorter = [planted("er", s, [[50], [60 + s]], scenario="split-digits/task") for s in (0, 1)]
    records = [planted(m, s, shifted(-s)) for m in ("joint", "ewc", "er") for s in (1, 0)] + shorter
    results = results_of(*recorded(records, scenarios=[SCENARIO, "split-digits/task"]))
    frame = results.frame
    assert frame[["scenario", "method", "seed"]].values.tolist() == [
        *([SCENARIO, m, s] for m in ("joint", "ewc", "er") for s in (0, 1)),
        *(["split-digits/task", "er", s] for s in (0, 1)),
    ]
    for id, entry in SCORES.items():
        joints = [None if own is joint else joint for own, joint in zip(frame["record"], frame["joint"], strict=True)]
        expected = [own.score(id, joint) for own, joint in zip(frame["record"], joints, strict=True)]
        np.testing.assert_array_equal(frame[id], expected, err_msg=entry.id, strict=False)
    assert frame["flops.inference"].tolist() == [2000.0] * len(records)
    assert frame["memory"].tolist() == [4000.0] * 4 + [4500.0] * 4  # 4 bytes a parameter, and the buffer of er
    curves = results.curves["mean"]
    assert len(curves) == 6 * 3 + 2
    for row, own in frame["record"].items():
        np.testing.assert_array_equal(curves.loc[row], mean_accuracy_curve(own.matrix.matrix()))


def test_a_number_that_is_not_there_has_a_reason():
    reason = "class-incremental: no outputs yet"
    records = [planted("er", s, not_evaluated={"unseen tasks": reason} if s else {}) for s in (0, 1, 2)]
    records += [planted("ewc", 0, status="failed", error="broke"), planted("ewc", 1, [[None] * 3] * 4)]
    (runs,) = results_of(*recorded(records)).runs
    assert runs.values("fwt")["er"].keys() == {0}
    assert runs.reasons("fwt")["er"] == {reason: [1, 2]}
    assert list(runs.values("acc")["ewc"]) == [1], "a failed run has no values, one that lacks its matrix has NaN"
    assert np.isnan(runs.values("acc")["ewc"][1])
    assert np.isnan(runs.means["acc"]["ewc"]), "a mean leaves nothing out"
    assert runs.reasons("d")["er"] == {"needs the joint method's record with the same seed": [0, 1, 2]}


def test_the_index_reads_no_records_that_are_at_hand(tmp_path):
    store = Store(tmp_path / "runs" / "digits")
    store.save(planted_cell(make_grid(load_suite("digits", ["er"], ["split-digits/domain"], [0])).cells[0]))
    scan, expected = store.scan(), write_index(tmp_path).read_bytes()
    assert b"split-digits/domain" in expected
    with mock.patch.object(Store, "scan", side_effect=AssertionError("read again")):
        assert write_index(tmp_path, read={store.folder: scan}).read_bytes() == expected
