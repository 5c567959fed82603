"""The order of methods in a reduced suite against that in print: τ and the pairs that swap, of what has run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.ledger.compare import Entry
from benchmarks.ledger.order import ORDERS, order_section, orders_of
from benchmarks.ledger.published import Published, Reference, load_reference
from benchmarks.request.load import load_suite
from tests.benchmarks.test_report_fixtures import planted, recorded, shifted

SCENARIO = "split-digits/domain"
PRINT = {"EWC": 10.0, "LwF": 20.0, "ER": 30.0, "GEM": 40.0, "Joint": 99.0}
OURS = {"EWC": "ewc", "LwF": "lwf", "ER": "er", "GEM": "gem"}


def entry(shifts: dict[str, int], seeds=(0, 1, 2)) -> Entry:
    """Our records of the methods in `shifts`, each better than the last by so many hundredths."""
    records = [planted(m, s, shifted(by + s), scenario=SCENARIO) for m, by in shifts.items() for s in seeds]
    grid, scan = recorded(records, methods=list(OURS.values()), scenarios=[SCENARIO], seeds=seeds)
    rows = [
        Published(id=m, scenario="d", method=m, metric="last", mean=v, spread=None, spread_kind=None, n=None,
                  unit="percent", confidence="primary", source="Doe 2020")
        for m, v in PRINT.items()
    ]  # fmt: skip
    reference = Reference(
        protocol="planted", rows=rows, scenarios={"d": SCENARIO}, methods=OURS,
        not_run={"Joint": "a bound"}, scores={"last": "acc"},
    )  # fmt: skip
    return Entry(grid, scan, reference)


def test_tau_and_the_pair_that_swaps():
    [order] = orders_of(entry({"ewc": 0, "lwf": 2, "er": 8, "gem": 5}))
    assert order.correlation is not None
    assert order.correlation.tau == pytest.approx(4 / 6)
    assert (order.correlation.n_methods, order.correlation.n_seeds, order.n_published) == (4, 3, 4)
    [swap] = order.swaps
    assert (swap.better, swap.worse, swap.published) == ("gem", "er", 10.0)
    assert swap.ours.mean == pytest.approx(-3)
    text = "\n".join(order_section([entry({"ewc": 0, "lwf": 2, "er": 8, "gem": 5})]))
    for cell in ("4 of 4", "1 of 6", "+0.67", "+10.00", "yes"):
        assert re.search(rf"\| +{re.escape(cell)} +\|", text), cell


def test_only_what_has_run_is_compared():
    [order] = orders_of(entry({"ewc": 0, "gem": 5}))
    assert order.correlation is not None
    assert (order.correlation.tau, order.correlation.n_methods, order.swaps) == (1.0, 2, ())
    for shifts in ({"gem": 5}, {}):
        [order] = orders_of(entry(shifts))
        assert order.correlation is None
        assert "fewer than two of 4 have run" in "\n".join(order_section([entry(shifts)]))


def test_one_seed_tells_nothing_apart():
    text = "\n".join(order_section([entry({"er": 8, "gem": 5}, seeds=(0,))]))
    assert text.count("one seed") == 2


@pytest.mark.parametrize("path", sorted(ORDERS.glob("*.csv")), ids=lambda path: path.stem)
def test_shipped_values_fit_their_suite(path: Path):
    reference = load_reference(path.stem, ORDERS)
    suite = load_suite(path.stem)
    reference.check(suite)
    assert suite.kind == "benchmark"
    answered = [
        (r.scenario, r.metric, reference.methods[r.method]) for r in reference.rows if r.method in reference.methods
    ]
    assert len(answered) == len(set(answered)), "one published value for each of our methods"


def test_the_tables_of_dne_and_dytox():
    """Hu et al. 2023, Table 1; Douillard et al. 2022 and its erratum."""
    reference = load_reference("cifar100-lite", ORDERS)
    values = {(r.scenario, r.method, r.metric): r.mean for r in reference.rows}
    assert values["B50-Inc10", "DNE-2heads", "last_acc"] == 69.73
    assert values["B50-Inc10", "iCaRL", "avg_inc_acc"] == 59.32
    assert values["B0-10steps", "DyTox_globalMem2k", "last_acc"] == 51.68
    assert values["B0-10steps", "DER_woP", "avg_inc_acc"] == 75.36
