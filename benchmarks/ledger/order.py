"""Whether a suite with reduced networks and schedules puts methods in the order of print."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from benchmarks.ledger.compare import Entry, entry_of
from benchmarks.ledger.published import load_reference
from benchmarks.records.results import BySeed
from benchmarks.report.markdown import escape, pipe_table
from benchmarks.request.catalogue import suite_names
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from metrics import SCORES, PairedDifference, paired_difference
from metrics.rank_correlation import RankCorrelation, rank_correlation, shared_seeds

ORDERS = Path(__file__).parent / "orders"
"""Published values by suite, in the form of references/."""

HOW_TO_READ = """\
Kendall's τ is the share of pairs of methods in the order of print less the share of pairs that swap: 1 is the same order,
0 no relation. Its interval is the bootstrap's 95% over our seeds, of which there are few. Only methods that have run
on the same seeds are compared; bounds are not. A reduced schedule favours what learns fast: methods whose later stages
or larger networks want more steps fall behind, so that a swap says nothing of the published schedule. A pair counts
as told apart by ours where the 95% t interval of its difference leaves out 0."""


@dataclass(frozen=True)
class Swap:
    """A pair in one order in print and in the other with us: `better` is ahead in print. published: its lead there, ours:
    the difference of the same sign, both in percentage points."""

    better: str
    worse: str
    published: float
    ours: PairedDifference


@dataclass(frozen=True)
class Order:
    """One published score of one scenario. correlation: None where fewer than two of the `n_published` methods have
    run."""

    scenario: str
    metric: str
    score: str
    n_published: int
    correlation: RankCorrelation | None
    swaps: tuple[Swap, ...] = ()


def order_entries(
    results: Path, published: bool = False, say: Callable[[str], object] = lambda problem: None
) -> list[Entry]:
    """The suites of ORDERS with their records. Raises SettingsError where values do not fit their suite, and as
    `entry_of`."""
    entries = []
    for path in sorted(path for path in ORDERS.glob("*.csv") if path.stem in suite_names()):
        grid, reference = make_grid(load_suite(path.stem)), load_reference(path.stem, ORDERS)
        assert reference is not None
        reference.check(grid.suite)
        entries.append(entry_of(results, path.stem, grid, reference, published, say))
    return entries


def orders_of(entry: Entry) -> Iterator[Order]:
    """An order for each scenario and score with published values for two methods or more."""
    reference = entry.reference
    assert reference is not None
    runs = {one.scenario: one for one in entry.results.runs}
    for theirs, scenario in reference.scenarios.items():
        for metric, score in reference.scores.items():
            rows = [row for row in reference.rows if (row.scenario, row.metric) == (theirs, metric)]
            printed = {reference.methods[row.method]: row.mean for row in rows if row.method in reference.methods}
            printed = {m: mean for m, mean in printed.items() if m not in runs[scenario].impossible}
            found = runs[scenario].values(score)
            ours = {method: found[method] for method in printed if found.get(method)}
            ours = {m: by_seed for m, by_seed in ours.items() if not any(map(math.isnan, by_seed.values()))}
            if len(printed) < 2:
                continue
            correlation = None
            if len(ours) > 1 and shared_seeds(list(ours.values())):
                correlation = rank_correlation(printed, ours)
            swaps = tuple(_swaps(printed, ours)) if correlation else ()
            yield Order(scenario, metric, score, len(printed), correlation, swaps)


def _swaps(printed: dict[str, float], ours: dict[str, BySeed]) -> Iterator[Swap]:
    """Those over the seeds that all methods share, the largest lead in print first."""
    seeds = shared_seeds(list(ours.values()))
    percent = {method: {seed: 100 * by_seed[seed] for seed in seeds} for method, by_seed in ours.items()}
    ranked = sorted(ours, key=lambda method: -printed[method])
    pairs = sorted(combinations(ranked, 2), key=lambda pair: printed[pair[1]] - printed[pair[0]])
    for better, worse in pairs:
        difference = paired_difference(percent[better], percent[worse])
        if printed[better] > printed[worse] and difference.mean < 0:
            yield Swap(better, worse, printed[better] - printed[worse], difference)


def order_section(entries: Sequence[Entry]) -> list[str]:
    """Markdown; empty without such suites."""
    parts = ["## The order of methods in reduced suites", " ".join(HOW_TO_READ.split())] if entries else []
    for entry in entries:
        suite, orders = entry.grid.suite, list(orders_of(entry))
        source = "; ".join(dict.fromkeys(row.source for row in entry.reference.rows)) if entry.reference else ""
        parts.append(f"### {escape(suite.title)}")
        parts.append(f"[Tables]({entry.tables}/{suite.name}.md), [records]({entry.records}). Print: {escape(source)}.")
        heads = ["scenario", "score", "methods", "seeds", "τ", "95% interval", "pairs that swap"]
        parts.append(pipe_table(list(map(_line, orders)), heads, "left", "left", *["right"] * 5))
        swaps = [_swap_line(order, swap) for order in orders for swap in order.swaps]
        if swaps:
            heads = [
                "scenario",
                "score",
                "ahead in print",
                "ahead with us",
                "lead in print, pp",
                "ours, pp",
                "told apart",
            ]
            parts.append(pipe_table(swaps, heads, *["left"] * 4, *["right"] * 2, "left"))
    return parts


def _line(order: Order) -> list[object]:
    name = [escape(order.scenario), f"`{order.score}` ({SCORES[order.score].name}; {escape(order.metric)})"]
    found = order.correlation
    if found is None:
        return [*name, f"fewer than two of {order.n_published} have run", "", "", "", ""]
    interval = "one seed" if found.n_seeds < 2 else f"[{found.low:+.2f}, {found.high:+.2f}]"
    pairs = found.n_methods * (found.n_methods - 1) // 2
    counts = f"{found.n_methods} of {order.n_published}"
    return [*name, counts, found.n_seeds, f"{found.tau:+.2f}", interval, f"{len(order.swaps)} of {pairs}"]


def _swap_line(order: Order, swap: Swap) -> list[object]:
    low, high = swap.ours.t_interval
    told = "one seed" if swap.ours.n < 2 else "yes" if high < 0 else "no"
    ours = f"{swap.ours.mean:+.2f}" + (f" [{low:+.2f}, {high:+.2f}]" if swap.ours.n > 1 else "")
    names = [escape(name) for name in (order.scenario, order.score, swap.better, swap.worse)]
    return [*names, f"{swap.published:+.2f}", ours, told]
