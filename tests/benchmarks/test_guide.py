"""The guide says what the records say."""

from __future__ import annotations

import pandas as pd

from benchmarks.records.results import results_of
from benchmarks.report.guide import Evidence, front, guide
from tests.benchmarks.test_report_fixtures import SCENARIO, planted, recorded, shifted


def test_pareto_front_by_hand():
    means = pd.DataFrame({"acc": [0.9, 0.8, 0.7, 0.6], "cost": [10, 5, 6, 1], "same": 1.0}, index=list("abcd"))
    assert front(means, "cost") == "d 60.0 → b 80.0 → a 90.0"
    assert front(means, "same") == "a 90.0"
    means.loc["e"] = [0.9, 9, 1.0]
    assert front(means, "cost") == "d 60.0 → b 80.0 → e 90.0"
    # equal in both: neither beats the other
    assert front(means.loc[["a", "a"]], "cost") == "a 90.0 → a 90.0"
    assert front(means.iloc[:0], "cost") == "none"


def evidence(records, methods, **kwargs) -> Evidence:
    places = {r.identity: f"records.jsonl#L{line}" for line, r in enumerate(records, 1)}
    return Evidence("planted", "planted", "planted", results_of(*recorded(records, methods, **kwargs)).runs, places)


def test_fronts_and_links():
    records = [
        planted(m, s, shifted(by))
        for m, by in {"er": 10, "ewc": -5, "joint": 14, "finetune": -20}.items()
        for s in range(3)
    ]
    text = guide([evidence(records, ["finetune", "joint", "ewc", "er"])])
    assert "## domain-incremental" in text
    line = next(li for li in text.splitlines() if "split-digits/domain" in li)
    # same costs, so the better one alone is on the front; er keeps a buffer, so without data only ewc is left
    assert "er 87.7" in line
    assert "ewc 72.7" in line.split("|")[4]
    assert "57.7 – 91.7" in line
    assert "[0](planted/records.jsonl#L1) [1](planted/records.jsonl#L2)" in line


def test_buffer_sizes_that_break():
    methods = {"finetune": {}, "joint": {}, "small": {"method": "er"}, "large": {"method": "er"}}
    shifts = {"finetune": -40, "joint": 10, "small": -30, "large": 5}
    records = []
    for name, by in shifts.items():
        for seed in range(3):
            record = planted(name, seed, shifted(by))
            size = {"small": 20, "large": 200}.get(name)
            base = "er" if size else name
            settings = record.settings | {
                "method": {"name": base, "settings": {"buffer_size": size} if size else {}, "version": 1}
            }
            records.append(record.model_copy(update={"settings": settings}))
    text = guide([evidence(records, methods)])
    table = text.split("### Buffer size")[1]
    small, large = (next(li for li in table.splitlines() if f"|{n:>14} |" in li or f" {n} " in li) for n in (20, 200))
    assert "(0.20) ✗" in small  # (47.7 - 37.7) / (87.7 - 37.7)
    assert "(0.90)" in large
    assert "✗" not in large


def test_what_is_no_better_than_finetune_is_on_no_front():
    shifts = {"ewc": -38, "joint": 14, "finetune": -40}
    records = [planted(m, s, shifted(by)) for m, by in shifts.items() for s in range(3)]
    text = guide([evidence(records, list(shifts))])
    line = next(li for li in text.splitlines() if "split-digits/domain" in li)
    assert "none" in line
    assert "ewc" not in line


def test_nothing_recorded():
    assert "No records yet" in guide([evidence([], ["er"])])


def test_a_method_with_fewer_seeds_is_on_no_front_and_named():
    records = [planted("ewc", s, shifted(-5)) for s in range(3)] + [planted("er", 0, shifted(10))]
    records += [planted("finetune", s, shifted(-20)) for s in range(3)]
    records += [planted("er", s, status="diverged", error="loss is NaN") for s in (1, 2)]
    line = next(li for li in guide([evidence(records, ["finetune", "ewc", "er"])]).splitlines() if SCENARIO in li)
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[2:4] == ["3 (left out: er with 1)", "ewc 72.7"]


def test_of_two_lower_bounds_the_lower_one_counts():
    """finetune first and above linear-probe, then below it."""
    for by in (-10, -30):
        shifts = {"finetune": by, "linear-probe": -20, "er": 0}
        records = [planted(m, s, shifted(k)) for m, k in shifts.items() for s in range(2)]
        text = guide([evidence(records, list(shifts), seeds=[0, 1])])
        assert f"| {77.7 + min(by, -20):.1f} – not run" in text
