"""Of many tasks the cost is told from the first ones, and the last is counted whatever was told."""

from __future__ import annotations

import pytest

from benchmarks.cost import count
from benchmarks.cost.trend import Trends, Unforeseen, at, line_through
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from tests.benchmarks.helpers import suite_file

STREAM = "split: {stream: split, data: cifar100, setting: class, tasks: 10, samples_per_task: 300}"
EXPERTS = "{backbone: expert-transformer, dim: 24, heads: 3, depth: 1, patch: 8}"
TOKENS = "{backbone: task-transformer, dim: 24, heads: 3, depth: 1, patch: 8}"


@pytest.fixture
def steps(monkeypatch):
    """Phases whose steps were run."""
    names, phase_cost = [], count.phase_cost
    monkeypatch.setattr(
        count, "phase_cost", lambda m, phase, counted: names.append(phase.name) or phase_cost(m, phase, counted)
    )
    return names


def cell_of(tmp_path, settings, stream=STREAM):
    (cell,) = make_grid(load_suite(str(suite_file(tmp_path, f"{{{settings}}}", stream)))).cells
    return cell


@pytest.mark.parametrize(
    ("settings", "run"),
    [
        ("finetune: {}", 6),
        ("lwf: {}", 6),
        ("icarl: {buffer_size: 100}", 6),
        ("bic: {buffer_size: 100}", 12),
        ("podnet: {buffer_size: 100}", 11),
        ("der_expand: {buffer_size: 100}", 11),
        (f"dytox: {{model: {TOKENS}, buffer_size: 100}}", 11),
        (f"dne: {{model: {EXPERTS}, buffer_size: 100}}", 11),
        ("er: {buffer_size: 100}", 6),
    ],
)
def test_what_is_told_is_what_is_counted(settings, run, steps, tmp_path, monkeypatch):
    """The first task, four after it and the last are run; BiC's first correction has steps of one size only."""
    cell = cell_of(tmp_path, settings)
    quick = count.cost_of(cell)
    assert quick.error is None
    assert len(steps) <= run
    monkeypatch.setattr(Trends, "told", lambda self, key: None)
    assert quick == count.cost_of(cell)


def test_where_the_last_task_is_unforeseen_all_are_counted(steps, tmp_path, monkeypatch):
    cell = cell_of(tmp_path, "finetune: {}")
    expected = count.cost_of(cell)
    told = len(steps)
    next = Trends._next

    def wrong(self, key):
        numbers = next(self, key)
        return numbers and tuple(2 * n for n in numbers)

    monkeypatch.setattr(Trends, "_next", wrong)
    assert count.cost_of(cell) == expected
    assert len(steps) >= told + 5 + 10


def test_methods_whose_steps_fill_a_memory_are_run(steps, tmp_path):
    """A memory of 2,000 takes in 300 images a task until the seventh has been seen."""
    cost = count.cost_of(cell_of(tmp_path, "er: {buffer_size: 2000}"))
    assert cost.error is None
    assert len(steps) == 10
    assert cost.tasks[0].stored != cost.tasks[5].stored


def test_numbers_on_parabolas_are_told():
    trends = Trends(telling=True)
    for k in range(6):
        trends.begin(last=False)
        told = trends.told("steps")
        assert told == ((3 * k * k + 1, 5 * k) if k >= 4 else None)
        trends.add("steps", (3 * k * k + 1, 5 * k))
    assert trends.used
    trends.begin(last=True)
    assert trends.told("steps") is None
    with pytest.raises(Unforeseen):
        trends.add("steps", (0, 0))


def test_nothing_is_told_of_what_tasks_between_did_not_have():
    trends = Trends(telling=True)
    for task in range(6):
        trends.begin(last=False)
        if task != 3:
            assert trends.told("features") is None
            trends.add("features", (1,))


@pytest.mark.parametrize("numbers", [[1, 8, 27, 64], [1, 1, 1, None], [2, 2, 2]])
def test_others_are_not_told(numbers):
    trends = Trends(telling=True)
    for n in numbers:
        trends.begin(last=False)
        trends.add("steps", n if n is None else (n,))
    trends.begin(last=False)
    assert trends.told("steps") is None
    assert not trends.used


def test_a_step_costs_a_fixed_part_and_one_for_each_image():
    on = line_through({128: {1030}, 28: {230}, 3: {30}})
    assert on is not None
    assert at(on, 50) == 8 * 50 + 6
    assert line_through({128: {1030}, 28: {230}, 3: {31}}) is None
    assert line_through({128: {1030}}) is None
    assert line_through({128: {1030, 1040}, 28: {230}}) is None
