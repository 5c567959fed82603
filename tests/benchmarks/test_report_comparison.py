"""Comparisons paired by seed, and the same matrices as other tools print them."""

from __future__ import annotations

import pytest

from benchmarks.records.results import results_of
from benchmarks.report.comparison import comparison
from benchmarks.report.peers import as_tool
from benchmarks.request.errors import SettingsError
from metrics import ROSETTA
from tests.benchmarks.test_report_fixtures import PLAIN, SCENARIO, planted, recorded, shifted

JITTER = [0, 3, -2, 1, 2]


def runs_of(**last_rows: list[int]):
    """Five seeds a method whose last row is shifted by the given amounts."""
    records = [planted(m, seed, shifted(by)) for m, shifts in last_rows.items() for seed, by in enumerate(shifts)]
    return results_of(*recorded(records, list(last_rows), seeds=range(5))).runs


def row(text: str, start: str) -> list[str]:
    (line,) = [li for li in text.splitlines() if li.startswith(f"| {start} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_difference_that_is_noise_reads_as_a_tie():
    text = comparison("t", runs_of(er=[0, 3, -2, 1, 2], gem=[1, 1, 0, -1, 2], lwf=[-8, -5, -11, -7, -6]))
    best, tied = ("er", "gem") if "against er" in text else ("gem", "er")
    assert f"against {best}" in text
    assert "≈ tie" in " ".join(row(text, tied))
    assert "differs" in " ".join(row(text, "lwf"))


def test_pairing_by_seed_sees_what_unpaired_spread_hides():
    """Seeds vary by twenty points, one method is always two or three ahead: paired, that is certain."""
    base = [0, 10, 9, -10, 5]
    behind = [b - d for b, d in zip(base, [3, 2, 3, 3, 2], strict=True)]
    text = comparison("t", runs_of(er=base, gem=behind))
    assert "differs" in " ".join(row(text, "gem"))
    assert "-2.60" in " ".join(row(text, "gem"))


def test_one_seed_compares_nothing():
    records = [planted("er", 0), planted("gem", 0)]
    text = comparison("t", results_of(*recorded(records, ["er", "gem"], seeds=[0])).runs)
    assert "Nothing to compare" in text


def test_hand_worked_values_under_another_tools_definition():
    """PLAIN by hand: rows after 1, 2, 3 tasks (97 55 62), (80 90 66), (70 78 85); untrained (50 40 60)."""
    runs = results_of(*recorded([planted("er", 0, PLAIN)], ["er"], seeds=[0])).runs
    text = as_tool("t", runs, "gem-repo")
    cells = row(text.split(SCENARIO)[1], "er")
    # its BWT divides by all three tasks: ((70-97) + (78-90) + 0) / 3 = -13; its FWT likewise: (0 + 15 + 6) / 3 = 7
    joined = " ".join(cells)
    assert "-0.1300" in joined
    assert "0.0700" in joined
    assert "77.67" in joined  # our ACC: (70 + 78 + 85) / 3


@pytest.mark.parametrize("tool", ROSETTA)
def test_every_tool_renders(tool):
    text = as_tool("t", runs_of(er=JITTER, gem=JITTER), tool)
    assert "| er" in text
    assert "how we know" in text


def test_an_unknown_tool_is_named_with_the_nearest():
    with pytest.raises(SettingsError, match="did you mean 'mammoth'"):
        as_tool("t", runs_of(er=JITTER), "mamoth")


def test_average_ranks_are_of_methods_with_all_seeds_everywhere():
    """er, the best, has lost a seed in one scenario."""
    scenarios = ("split-digits/domain", "split-digits/class")
    records = [
        planted(m, s, shifted(by), name)
        for name in scenarios
        for m, by in {"er": 5, "gem": 0, "lwf": -5}.items()
        for s in range(3)
        if (m, s, name) != ("er", 2, scenarios[0])
    ]
    text = comparison("t", results_of(*recorded(records, ["er", "gem", "lwf"], scenarios)).runs)
    ranks = text.split("## Average rank")[1].split("\n## ")[0]
    assert [row(ranks, m)[1] for m in ("gem", "lwf")] == ["1.00", "2.00"]
    assert "| er " not in ranks
    assert "Not in every scenario with the seeds of the others, so not ranked: er." in ranks


def test_another_tools_table_says_over_how_many_seeds():
    records = [planted("gem", s) for s in range(3)] + [planted("er", 0), planted("er", 1, status="diverged", error="x")]
    text = as_tool("t", results_of(*recorded(records, ["er", "gem", "lwf"])).runs, "gem-repo").split(SCENARIO)[1]
    assert [row(text, m)[-1] for m in ("er", "gem", "lwf")] == ["1", "3", "0"]
