"""What stands in which cell: order, marks, n/a with reasons, missing and failed seeds, units."""

import pytest

from benchmarks.records.record import Flops, Memory
from benchmarks.records.results import results_of
from benchmarks.records.store import Scan
from benchmarks.report.leaderboard import make_leaderboard
from benchmarks.report.legend import caption
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from metrics import score, summarise
from tests.benchmarks.helpers import suite_file
from tests.benchmarks.test_report_fixtures import (
    PLAIN,
    board_of,
    cell_of,
    counts,
    notes_of,
    planted,
    row_of,
    shifted,
)

SEEDS = (0, 1, 2)
CLASS = "split-digits/class"
NO_OUTPUT = "class-incremental: a class not yet seen has no output"
NOISE = {0: 0, 1: 2, 2: -1}


def runs(by, scenario="split-digits/domain", seeds=SEEDS, **changes):
    """Records of several methods, {method: how much better than finetune}, with noise that methods do not share."""
    return [
        planted(m, s, shifted(b + (NOISE[(s + i) % 3] if s in NOISE else 0)), scenario, **changes)
        for i, (m, b) in enumerate(by.items())
        for s in seeds
    ]


def test_joint_is_on_top_finetune_at_the_bottom_and_the_rest_falls_by_acc():
    records = runs({"ewc": -12, "finetune": 6, "er": 5, "joint": -9, "gem": -3})
    (table,) = board_of(records, methods=["er", "finetune", "ewc", "gem", "joint"]).tables
    assert [row.method for row in table.rows] == ["joint", "er", "gem", "ewc", "finetune"]
    assert [row.role for row in table.rows] == ["upper bound", "method", "method", "method", "lower bound"]


def test_a_cell_holds_the_values_of_all_seeds_and_their_summary():
    records = runs({"er": 4})
    (table,) = board_of(records, methods=["er"]).tables
    cell = cell_of(table, "er", "bwt")
    assert cell.values == {r.seed: score("bwt", r.matrix.matrix()) for r in records}
    assert cell.summary == summarise(list(cell.values.values()))


def test_best_and_tied_methods_are_marked_bounds_and_costs_are_not():
    records = runs({"finetune": 0, "ewc": 8, "er": 9, "gem": -30, "joint": 12})
    (table,) = board_of(records, methods=["finetune", "ewc", "er", "gem", "joint"]).tables
    marks = {row.method: cell_of(table, row.method, "acc").mark for row in table.rows}
    assert marks == {"joint": "", "er": "best", "ewc": "tied", "gem": "", "finetune": ""}
    assert cell_of(table, "er", "fm.mean").mark == "best"  # lower is better: er forgets least
    assert cell_of(table, "gem", "fm.mean").mark == ""
    costs = ("flops.inference", "flops.training", "seconds", "memory")
    assert {cell_of(table, row.method, cost).mark for row in table.rows for cost in costs} == {""}


def test_methods_with_the_same_mean_are_both_the_best():
    records = [planted(m, s, shifted(by)) for m, by in {"ewc": 9, "gem": 1, "er": 9}.items() for s in SEEDS]
    (table,) = board_of(records, methods=["ewc", "gem", "er"]).tables
    assert {m: cell_of(table, m, "acc").mark for m in ("ewc", "gem", "er")} == {"ewc": "best", "gem": "", "er": "best"}


def test_nothing_is_ranked_on_one_seed():
    (table,) = board_of(runs({"ewc": 0, "er": 9}, seeds=[0]), methods=["ewc", "er"], seeds=[0]).tables
    assert not table.marked("best")
    assert not table.marked("tied")


def test_one_method_alone_is_not_the_best():
    (table,) = board_of(runs({"finetune": 0, "er": 9}), methods=["finetune", "er"]).tables
    assert not table.marked("best")


def test_a_method_with_fewer_seeds_is_not_ranked_and_says_so():
    records = runs({"ewc": 0, "gem": 1}) + runs({"er": 9}, seeds=[0, 1])
    (table,) = board_of(records, methods=["ewc", "er", "gem"]).tables
    er = row_of(table, "er")
    assert table.uneven
    assert (er.n, er.seeds) == (2, 3)
    assert cell_of(table, "er", "acc").mark == ""
    assert cell_of(table, "gem", "acc").mark == "best"
    assert notes_of(table, er)[0] == "seed 2 not run"
    assert notes_of(table, er)[1].startswith("not ranked")


def test_failed_and_diverged_seeds_are_counted_explained_and_not_averaged_in():
    bad = planted("er", 1, [[None] * 3] * 4, status="failed", error="Traceback ...\n  File\nValueError: no <tag>")
    wild = planted("er", 2, PLAIN, status="diverged", error="loss is nan in task 1")
    (table,) = board_of([*runs({"ewc": 1}), planted("er", 0, shifted(5)), bad, wild], methods=["ewc", "er"]).tables
    row = row_of(table, "er")
    assert (row.n, row.seeds) == (1, 3)
    assert cell_of(table, "er", "acc").values == {0: score("acc", counts(shifted(5)).matrix())}
    notes = notes_of(table, row)
    assert notes[:2] == ["er: seed 1 failed: ValueError: no <tag>", "er: seed 2 diverged: loss is nan in task 1"]


def test_a_method_that_only_failed_and_one_that_never_ran_have_no_numbers():
    bad = [planted("er", s, [[None] * 3] * 4, status="failed", error="KeyError: 3") for s in SEEDS]
    (table,) = board_of([*runs({"ewc": 1}), *bad], methods=["ewc", "er", "gem"]).tables
    assert {cell.text for cell in row_of(table, "er").cells} == {"failed"}
    assert notes_of(table, row_of(table, "er")) == ["er: seeds 0–2 failed: KeyError: 3"]
    assert {cell.text for cell in row_of(table, "gem").cells} == {"not run"}
    assert all(cell.summary is None for m in ("er", "gem") for cell in row_of(table, m).cells)


def test_an_impossible_pair_is_not_applicable_and_does_not_count_as_missing():
    why = {("split-digits/domain", "pnn"): "PNN needs the task id"}
    (table,) = board_of(runs({"ewc": 0, "er": 1}), methods=["ewc", "er", "pnn"], impossible=why).tables
    assert {cell.text for cell in row_of(table, "pnn").cells} == {"n/a"}
    assert notes_of(table, cell_of(table, "pnn", "acc")) == ["n/a: PNN needs the task id"]
    assert not table.uneven


def test_what_the_suite_leaves_out_is_a_sentence_and_no_row(tmp_path):
    path = suite_file(tmp_path, "{er: {buffer_size: 10}, ewc: {}, si: {}}")
    out = "overrides:\n  - {scenarios: ['*'], methods: [ewc, si], not_run: for time}\n"
    path.write_text(path.read_text() + out)
    (table,) = make_leaderboard(results_of(make_grid(load_suite(str(path))), Scan())).tables
    assert [row.method for row in table.rows] == ["er"]
    assert caption(table, "0").endswith("Left out by the suite: ewc, si (for time).")
    (table,) = make_leaderboard(results_of(make_grid(load_suite(str(path), ["si"])), Scan())).tables
    assert row_of(table, "si").cells[0].text == "n/a"  # where nothing else was asked for


def test_forward_transfer_is_not_applicable_where_unseen_tasks_are_not_evaluated():
    matrix = [[None] * 3, [97, None, None], [80, 90, None], [70, 78, 85]]
    records = [planted("er", s, matrix, CLASS, not_evaluated={"unseen tasks": NO_OUTPUT}) for s in SEEDS]
    (table,) = board_of(records, methods=["er"], scenarios=[CLASS]).tables
    cell = cell_of(table, "er", "fwt")
    assert (cell.text, cell.summary, cell.warned) == ("n/a", None, False)
    assert notes_of(table, cell) == [f"n/a: {NO_OUTPUT}"]
    assert cell_of(table, "er", "acc").summary is not None


def test_d_is_taken_seed_by_seed_against_joint_and_not_applicable_without_it():
    records = runs({"ewc": 0, "joint": 10})
    (table,) = board_of(records, ["d"], methods=["ewc", "joint"]).tables
    la = {(r.method, r.seed): score("la", r.matrix.matrix()) for r in records}
    assert cell_of(table, "ewc", "d").values == pytest.approx({s: la["joint", s] - la["ewc", s] for s in SEEDS})
    assert cell_of(table, "joint", "d").text == "n/a"
    (table,) = board_of(runs({"ewc": 0}), ["d"], methods=["ewc", "joint"]).tables
    assert cell_of(table, "ewc", "d").text == "n/a"
    assert notes_of(table, cell_of(table, "ewc", "d")) == ["n/a: needs the joint method's record with the same seed"]


def test_d_over_fewer_seeds_than_the_row_says_which_are_left_out():
    records = runs({"ewc": 0}) + [planted("joint", 0, shifted(9)), planted("joint", 2, shifted(8))]
    (table,) = board_of(records, ["d"], methods=["ewc", "joint"]).tables
    cell = cell_of(table, "ewc", "d")
    assert set(cell.values) == {0, 2}
    assert notes_of(table, cell)[0].startswith("D of ewc leaves out seed 1: needs the joint")


def test_scores_that_need_two_tasks_are_not_applicable_to_one():
    (table,) = board_of([planted("er", 0, [[50], [97]])], methods=["er"], seeds=[0]).tables
    assert notes_of(table, cell_of(table, "er", "bwt")) == ["n/a: not defined for a single task"]
    assert cell_of(table, "er", "acc").summary.mean == 0.97


def test_the_other_reading_of_the_same_logits_has_a_column():
    other = counts(shifted(10))
    records = [planted("er", s, matrix_other=other, matrix_other_view="masked", scenario=CLASS) for s in SEEDS]
    records += [planted("ewc", s, scenario=CLASS) for s in SEEDS]
    (table,) = board_of(records, methods=["er", "ewc"], scenarios=[CLASS]).tables
    assert table.columns[-1].measure.label == "ACC masked"
    assert cell_of(table, "er", "acc.masked").summary.mean == pytest.approx(score("acc", other.matrix()))
    assert cell_of(table, "ewc", "acc.masked").text == "n/a"
    plain = board_of(records, ["la"], methods=["er", "ewc"], scenarios=[CLASS]).tables[0]
    assert [c.measure.id for c in plain.columns] == ["la"]


def test_costs_are_those_after_the_last_task():
    record = planted(
        "er",
        0,
        flops=Flops(inference=[1000, 2000, 3000], inference_modules=[1, 2, 3], training=4_000_000, parts={}),
        parameters=[{"total": n, "frozen": 0, "trainable": n} for n in (10, 20, 30)],
        memory=Memory(stored_bytes=[{}, {"buffer": 7}, {"buffer": 7, "teacher": 8}], peak_bytes=10**9),
        seconds={"train": 1.0, "total": 2.5},
    )
    (table,) = board_of([record], methods=["er"], seeds=[0]).tables
    means = {c.measure.id: cell_of(table, "er", c.measure.id).summary.mean for c in table.columns}
    assert means["flops.inference"] == 3000
    assert means["flops.training"] == 4_000_000
    assert means["seconds"] == 2.5
    assert means["memory"] == 4 * 30 + 7 + 8


def test_columns_have_units_and_the_same_ones_in_all_tables_of_a_suite():
    small = runs({"er": 0}, "a/domain")
    flops = Flops(inference=[5_000_000] * 3, inference_modules=[5_000_000] * 3, training=9, parts={})
    large = runs({"er": 0}, "b/domain", flops=flops) + runs({"ewc": 0}, "b/domain", flops=flops)
    tables = board_of(small + large, methods=["er", "ewc"], scenarios=["a/domain", "b/domain"]).tables
    units = [{c.measure.id: c.unit.text for c in table.columns} for table in tables]
    assert units[0] == units[1]
    assert {k: units[0][k] for k in ("acc", "bwt", "flops.inference")} == {
        "acc": "%",
        "bwt": "pp",
        "flops.inference": "MFLOP/image",
    }


def test_a_note_that_holds_for_several_cells_has_one_number():
    (table,) = board_of(runs({"joint": 3, "er": 1}), methods=["joint", "er"]).tables
    training, seconds = (cell_of(table, "joint", cost).notes for cost in ("flops.training", "seconds"))
    assert training == seconds
    assert len(table.notes) == len(set(table.notes))


def test_unknown_metrics_are_all_named_with_the_nearest():
    with pytest.raises(SettingsError) as error:
        board_of(runs({"er": 0}), ["acc", "bwt.dias", "fm.mxa", "zzzz"], methods=["er"])
    assert len(error.value.problems) == 3
    assert "'bwt.diaz'" in error.value.problems[0]
    assert "'fm.max'" in error.value.problems[1]
    assert error.value.problems[2] == "unknown metric 'zzzz'; `list metrics` names them all"


def test_no_metric_at_all_is_an_error():
    with pytest.raises(SettingsError, match="no metric named"):
        board_of([], [], methods=["er"])
