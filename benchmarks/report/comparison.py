"""Methods against each other, paired by seed: what differs, and what is noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmarks.records.results import BySeed, Runs
from benchmarks.records.significance import ALPHA, family
from benchmarks.report.markdown import escape, pipe_table
from metrics import average_ranks, critical_difference, paired_difference, probability_of_improvement

HOW_TO_READ = """\
Methods are compared seed by seed (same class order, initial weights and batches), on ACC. A difference counts only
where the paired t test, Holm-corrected over the methods of a table, rejects equality at the 5% level; every other
reads as a tie (≈), and the leaderboard's marks are of these same tests. Few seeds can only show large differences: a tie is not a proof of equality. Each table compares
with the best method between the bounds (joint above, finetune or linear-probe below), which are compared but not ranked. P is the share of
seeds on which that method is better, ties counting half."""


def comparison(title: str, all_runs: Sequence[Runs]) -> str:
    """The comparison page of a suite, markdown."""
    parts = [f"# {escape(title)}: comparison", " ".join(HOW_TO_READ.split())]
    ranks = _ranks(all_runs)
    if ranks:
        parts += ["## Average rank over scenarios", ranks]
    for runs in all_runs:
        values = accuracies(runs)
        parts.append(f"## {escape(runs.scenario)}")
        if len(values) < 2:
            parts.append("Nothing to compare: fewer than two methods have two seeds or more.")
            continue
        parts += [_against_best(runs, values), _scored_text(method for method in values if method in runs.scored)]
    return "\n\n".join(filter(None, parts)) + "\n"


def accuracies(runs: Runs) -> dict[str, BySeed]:
    """ACC by method and seed, of methods with at least two seeds, best mean first."""
    found = runs.values("acc").items()
    usable = {m: by_seed for m, by_seed in found if len(by_seed) > 1 and not any(map(math.isnan, by_seed.values()))}
    return dict(sorted(usable.items(), key=lambda item: -round(runs.summaries("acc")[item[0]].mean, 12)))


def _against_best(runs: Runs, values: dict[str, BySeed]) -> str:
    """Every method, bounds too, against the ranked one with the best mean: difference, intervals, probability, p."""
    tests = family(runs, values)
    best = tests.best("higher") or next(iter(values))
    adjusted = tests.p_values(best)
    rows = []
    for m in values:
        if m == best or not values[m].keys() & values[best].keys():
            continue
        d = paired_difference(values[m], values[best])
        better = probability_of_improvement(values[best], values[m])
        intervals = _interval(d.t_interval), _interval(d.bootstrap_interval)
        rows.append([escape(m), f"{100 * d.mean:+.2f}", *intervals, f"{better:.2f}", *_test(adjusted.get(m)), d.n])
    name = escape(best)
    heads = [f"against {name}", "difference, pp", "95% t interval", "95% bootstrap interval", f"P({name} better)"]
    heads += ["p (Holm)", "verdict", "n"]
    return pipe_table(rows, heads, "left", *["right"] * 7)


def _ranks(all_runs: Sequence[Runs]) -> str:
    """Average ranks over scenarios with the critical difference (Demšar 2006), for the methods ranked in all of them."""
    means = {
        runs.scenario: {m: runs.summaries("acc")[m].mean for m in accuracies(runs) if m in runs.competitors()}
        for runs in all_runs
    }
    means = {scenario: by_method for scenario, by_method in means.items() if by_method}
    if len(means) < 2:
        return ""
    ranked = {m for runs in all_runs for m in runs.named("method")}
    everywhere = [m for m in next(iter(means.values())) if all(m in by_method for by_method in means.values())]
    if len(everywhere) < 2:
        return ""
    ranks = average_ranks({m: {s: by_method[m] for s, by_method in means.items()} for m in everywhere})
    distance = critical_difference(len(everywhere), len(means))
    rows = [[escape(m), f"{rank:.2f}"] for m, rank in sorted(ranks.items(), key=lambda item: item[1])]
    left_out = sorted(ranked - set(everywhere))
    text = (
        f"{len(means)} scenarios. Two average ranks differ at the 5% level when they lie more than {distance:.2f} apart "
        "(Nemenyi); closer ones are ties."
        + (
            f" Not in every scenario with the seeds of the others, so not ranked: {', '.join(map(escape, left_out))}."
            if left_out
            else ""
        )
    )
    return pipe_table(rows, ["method", "average rank"], "left", "right") + f"\n\n{text}"


def _interval(bounds: tuple[float, float]) -> str:
    return f"[{100 * bounds[0]:+.2f}, {100 * bounds[1]:+.2f}]"


def _test(p: float | None) -> tuple[str, str]:
    """p value and verdict; a single shared seed tests nothing."""
    if p is None:
        return "n/a", "not tested"
    return "< 0.001" if p < 0.001 else f"{p:.3f}", "≈ tie" if p > ALPHA else "differs"


def _scored_text(methods: Iterable[str]) -> str:
    """A sentence for below a comparison."""
    named = ", ".join(methods)
    return (
        f"Scored from another program's predictions: {named}. Tasks and images of a seed are the same, initial weights and "
        "batches are that program's own."
        if named
        else ""
    )
