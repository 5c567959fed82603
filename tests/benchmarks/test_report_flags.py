"""Every rule finds its planted case and is silent beside it."""

import math

import pytest

from benchmarks.records import flags
from tests.benchmarks.test_report_fixtures import (
    PLAIN,
    board_of,
    cell_of,
    notes_of,
    planted,
    row_of,
    runs_of,
    shifted,
)

SEEDS = (0, 1, 2)


def varied(seed: int, by: int = 0) -> list[list[int]]:
    """A matrix that is another for every seed and offset, as those of real runs are."""
    matrix = shifted(by - seed)
    matrix[1][1] += seed + by
    return matrix


def ordinary():
    offsets = {"finetune": 0, "joint": 9, "ewc": 3, "er": 6}
    return [planted(method, seed, varied(seed, by)) for method, by in offsets.items() for seed in SEEDS]


def without(records, method):
    return [r for r in records if r.method != method]


def test_ordinary_records_raise_no_warning():
    assert flags.warnings_of(runs_of(ordinary())) == []


def test_first_task_at_chance():
    guessed = varied(1, 3)
    guessed[1][0] = 55  # 2 classes, 100 test images: two standard errors above chance end at 60
    records = [planted("ewc", s, guessed if s == 1 else varied(s, 3)) for s in SEEDS]
    (flag,) = flags.first_task_at_chance(runs_of(records))
    assert (flag.method, flag.measure) == ("ewc", "acc")
    assert "seed 1" in flag.text
    assert "0" not in flag.text


def test_a_first_task_of_one_class_has_no_chance_level():
    records = [planted("ewc", 0, scenario_manifest={"classes": [[0], [1], [2]]})]
    assert flags.first_task_at_chance(runs_of(records)) == []


def test_finetune_above_joint():
    records = [planted("joint", s, varied(s, 0)) for s in SEEDS] + [planted("finetune", s, varied(s, 9)) for s in SEEDS]
    found = flags.finetune_above_joint(runs_of(records))
    assert {f.method for f in found} == {"finetune", "joint"}
    assert "9.0 percentage points above joint" in found[0].text


def test_finetune_above_joint_by_noise_is_no_warning():
    gains = {0: 9, 1: -8, 2: 2}
    records = [planted("joint", s, varied(s)) for s in SEEDS] + [
        planted("finetune", s, varied(s, gains[s])) for s in SEEDS
    ]
    assert flags.finetune_above_joint(runs_of(records)) == []


@pytest.mark.parametrize(("below", "found"), [(4, 0), (6, 1)])
def test_far_below_finetune(below, found):
    records = [planted("finetune", s, varied(s)) for s in SEEDS] + [planted("ewc", s, varied(s, -below)) for s in SEEDS]
    assert [f.method for f in flags.far_below_finetune(runs_of(records))] == ["ewc"] * found


def test_same_matrix():
    records = [*without(ordinary(), "ewc"), *(planted("ewc", s, varied(s, 6)) for s in SEEDS)]
    found = flags.same_matrix(runs_of(records))
    assert {f.method: f.text for f in found} == {
        "ewc": "the same accuracy matrix as er in every seed",
        "er": "the same accuracy matrix as ewc in every seed",
    }


def test_same_matrix_in_one_seed_only_is_no_warning():
    records = [planted(m, s, varied(s, 6 if s == 0 else by)) for m, by in {"ewc": 3, "er": 6}.items() for s in SEEDS]
    assert flags.same_matrix(runs_of(records)) == []


def test_methods_that_forget_everything_on_easy_tasks_may_have_the_same_matrix():
    forgotten = [[None] * 3, [100, None, None], [0, 100, None], [0, 0, 100]]
    records = [planted(m, s, forgotten, "split-digits/class") for m in ("ewc", "finetune") for s in SEEDS]
    assert flags.warnings_of(runs_of(records, scenarios=["split-digits/class"])) == []


def test_methods_are_the_same_on_a_single_task():
    records = [planted(m, s, [[50], [97 - s]]) for m in ("finetune", "ewc") for s in SEEDS]
    assert flags.same_matrix(runs_of(records)) == []


def test_same_forward_transfer_although_the_matrices_differ():
    records = [planted(m, s, shifted(by - s)) for m, by in {"ewc": 3, "er": 6, "joint": 9}.items() for s in SEEDS]
    found = flags.same_forward_transfer(runs_of(records))
    assert {f.method for f in found} == {"ewc", "er", "joint"}
    assert {f.measure for f in found} == {"fwt"}


def test_forward_transfer_over_two_tasks_is_the_same_for_all_methods_that_start_alike():
    two = [[50, 40], [97, 55], [80, 96]]
    records = [planted(m, s, shifted(by - s, two)) for m, by in {"ewc": 1, "er": 3}.items() for s in SEEDS]
    assert flags.same_forward_transfer(runs_of(records)) == []


def test_forward_transfer_that_is_not_evaluated_is_not_compared():
    records = [
        planted(m, s, shifted(by - s), not_evaluated={"unseen tasks": "no output"})
        for m, by in {"ewc": 3, "er": 6}.items()
        for s in SEEDS
    ]
    assert flags.same_forward_transfer(runs_of(records)) == []


def test_same_for_every_seed():
    records = [*without(ordinary(), "er"), *(planted("er", s, varied(1, 6)) for s in SEEDS)]
    (flag,) = flags.same_for_every_seed(runs_of(records))
    assert (flag.method, flag.text) == ("er", "the same accuracy matrix for all 3 seeds")


EASY = [[None] * 3, [36, None, None], [0, 35, None], [0, 1, 36]]
"""Of 36 images: what every seed may well get on an easy task."""


def easy(method, seed, matrix=EASY):
    record = planted(method, seed, matrix, scenario="split-digits/class")
    total = [[None if n is None else 36 for n in row] for row in matrix]
    return record.model_copy(update={"matrix": record.matrix.model_copy(update={"total": total})})


def test_the_same_easy_matrix_for_every_seed_is_chance():
    records = [easy(m, s) for m in ("ewc", "finetune") for s in range(5)]
    found = flags.warnings_of(runs_of(records, scenarios=["split-digits/class"], seeds=range(5)))
    assert [flag for flag in found if "same" in flag.text] == []


@pytest.mark.parametrize(("seeds", "flagged"), [(2, False), (3, True), (5, True)])
def test_the_more_seeds_agree_and_the_more_images_they_agree_on_the_less_it_is_chance(seeds, flagged):
    """Three counts of 100 images near one half: two seeds may agree in all by chance, three hardly."""
    halves = [[50, 50, 50], [50, 50, 50], [50, 50, 50], [50, 50, 50]]
    records = [planted("er", s, halves) for s in range(seeds)]
    assert bool(flags.same_for_every_seed(runs_of(records, methods=["er"], seeds=range(seeds)))) == flagged


def test_chance_falls_with_the_root_of_the_number_of_images():
    record = planted("er", 0)
    chances = []
    for n in (100, 10_000):
        counts = record.matrix.model_copy(
            update={"correct": [[n * 7 // 10] * 3] * 4, "total": [[n] * 3] * 4},
        )
        chances.append(flags._chance_of_equal(record.model_copy(update={"matrix": counts})))
    assert chances[0] == pytest.approx((1 / math.sqrt(4 * math.pi * 0.1 * 21)) ** 3)
    assert chances[1] == pytest.approx(chances[0] / 1000)  # ten times less likely in each of three columns


def test_what_methods_share_by_their_seed_says_nothing():
    """The untrained row and the first task are the same for all methods; only later rows tell them apart."""
    then = [[0, 100, 0], [0, 0, 100]]
    records = [planted(m, s, [[50 - s, 40 + s, 60], [97 - s, 55 + s, 62], *then]) for m in ("ewc", "er") for s in SEEDS]
    assert flags.same_matrix(runs_of(records)) == []


def test_not_a_number_names_its_seeds():
    assert flags.not_a_number({0: 0.5, 1: 0.6}) is None
    assert "seeds 1–3" in flags.not_a_number({0: 0.5, 1: math.nan, 2: math.nan, 3: math.nan})


def test_a_hole_in_the_matrix_is_shown_as_nan_and_flagged():
    hole = [*PLAIN[:3], [70, None, 85]]
    records = [*without(ordinary(), "er"), *(planted("er", s, hole if s == 2 else varied(s, 6)) for s in SEEDS)]
    (table,) = board_of(records).tables
    cell = cell_of(table, "er", "acc")
    assert cell.warned
    assert math.isnan(cell.summary.mean)
    assert cell.mark == ""
    (note,) = notes_of(table, cell)
    assert note.startswith("⚠ warning: er: not a number for seed 2")
    assert cell_of(table, "ewc", "acc").mark == ""  # no second competitor with a number in every seed


def test_a_flag_stands_at_the_method_where_its_column_is_not_shown():
    records = [planted("joint", s, varied(s, 0)) for s in SEEDS] + [planted("finetune", s, varied(s, 9)) for s in SEEDS]
    (table,) = board_of(records, ["la"]).tables
    row = row_of(table, "finetune")
    assert row.warned
    assert "above joint" in notes_of(table, row)[0]
    (table,) = board_of(records, ["acc"]).tables
    assert not row_of(table, "finetune").warned
    assert cell_of(table, "finetune", "acc").warned
