"""In which order a grid is run."""

from pathlib import Path

import pytest

from benchmarks.executors.order import ideal, longest_first, makespan
from benchmarks.records.matching import matched_by_name
from benchmarks.records.published import PublishedStore
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from tests.benchmarks.helpers import cells

PUBLISHED = Path("results/published")
BOUND = 1.04
BOUNDS = {"images-parity": 1.08}
"""15 cells of five kinds, of which seven workers do two: the seeds of one kind took from 88 to 510 s beside other load, so
what is expected of a cell says little, and even exact lengths cannot be dealt out evenly."""


@pytest.mark.parametrize("suite", sorted(path.parent.name for path in PUBLISHED.glob("*/records.jsonl")))
def test_longest_first_comes_close_to_the_ideal_on_the_published_suites(suite):
    """8 workers, and what each cell took when it was published; expected is the median of a kind, or its first seed."""
    grid = make_grid(load_suite(suite))
    scan = matched_by_name(grid, PublishedStore(PUBLISHED / suite).scan())
    records = {
        c.identity: r.model_copy(update={"settings": c.identity_settings()})
        for c in grid.cells
        if (r := scan.records.get(c.identity))
    }
    own = [cell for cell in grid.cells if cell.identity in records]
    first = min(cell.seed for cell in own)
    seconds = {identity: record.seconds["total"] for identity, record in records.items()}
    best = ideal(list(seconds.values()), 8)

    def after(known):
        return makespan([seconds[cell.identity] for cell in longest_first(own, known, workers=8)], 8) / best

    suite_order = makespan([seconds[cell.identity] for cell in own], 8) / best
    all_known, one_seed = after(records.values()), after(records[c.identity] for c in own if c.seed == first)
    print(f"{suite}: {len(own)} cells: suite order {suite_order:.3f}, longest first {all_known:.3f} {one_seed:.3f}")
    assert all_known <= BOUNDS.get(suite, BOUND)
    assert one_seed <= BOUNDS.get(suite, BOUND)


def test_cells_without_a_like_record_are_estimated_once_a_kind():
    wanted = cells("finetune", "er", "si", seeds=3)
    asked = []

    def estimate(cell):
        asked.append(cell.method_name)
        return {"finetune": 1.0, "er": 3.0, "si": 2.0}[cell.method_name]

    assert [c.method_name for c in longest_first(wanted, [], estimate)] == ["er"] * 3 + ["si"] * 3 + ["finetune"] * 3
    assert sorted(asked) == ["er", "finetune", "si"]


def test_few_cells_are_dealt_out_so_that_all_workers_end_together():
    """Two workers: 3 + 3 and 2 + 2 + 2 end after 6, the longest first, 3 + 2 + 2 and 3 + 2, after 7."""
    seconds = {"er": 3.0, "finetune": 2.0}
    five = [*cells("finetune", seeds=3), *cells("er", seeds=2)]

    def dealt(**workers):
        order = longest_first(five, [], lambda cell: seconds[cell.method_name], **workers)
        return [seconds[cell.method_name] for cell in order]

    assert makespan(dealt(workers=2), 2) == 6
    assert makespan(dealt(), 2) == 7


def test_a_makespan_is_that_of_workers_that_take_the_next_cell():
    assert makespan([1, 1, 1, 3], 2) == 4
    assert makespan([3, 1, 1, 1], 2) == 3
    assert ideal([3, 1, 1, 1], 2) == 3
