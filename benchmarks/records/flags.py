"""What a reader is warned of: one small rule each, which returns the cells concerned and why.

A flag is no verdict. It says what a careful reader would check before believing the row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.records.results import BySeed, Runs
from benchmarks.records.significance import ALPHA
from benchmarks.wording import numbers
from metrics import p_values_against, paired_test

FAR_BELOW = 0.05
"""How far under finetune, as a fraction, is more than bad luck with a hyperparameter."""
COINCIDENCE = 1e-3
"""A coincidence less likely than this is none."""
HARD_OR_EASY = 0.1
"""The part of a binomial count's variance that is left where most test images are always or never recognised."""


@dataclass(frozen=True)
class Flag:
    """A warning about the cell of `method` in the column of `measure` (an id)."""

    method: str
    measure: str
    text: str


def warnings_of(runs: Runs) -> list[Flag]:
    """All that the rules find in one scenario."""
    return [flag for rule in RULES for flag in rule(runs)]


def not_a_number(values: BySeed) -> str | None:
    """A number is expected of every seed here, so NaN means that a run left its matrix or its counts unfinished."""
    seeds = [seed for seed, value in values.items() if math.isnan(value)]
    return f"not a number for {numbers(seeds, 'seed')}, although the run says that it succeeded" if seeds else None


def first_task_at_chance(runs: Runs) -> list[Flag]:
    """Right after learning the first task a method should know it; if it guesses, training did not work at all.

    At chance: at most two standard errors of guessing above it, in any seed. A task of one class has no chance level.
    """
    flags = []
    for method in runs.roles:
        guessing = [seed for seed, record in runs.done(method).items() if _at_chance(record)]
        if guessing:
            text = f"first task no better than guessing right after it was learned ({numbers(guessing, 'seed')})"
            flags.append(Flag(method, "acc", text))
    return flags


def _at_chance(record: RunRecord) -> bool:
    classes = record.scenario_manifest.get("classes")
    correct, total = record.matrix.correct[1][0], record.matrix.total[1][0]
    if not classes or len(classes[0]) < 2 or correct is None or total is None:
        return False
    chance = 1 / len(classes[0])
    return correct / total <= chance + 2 * math.sqrt(chance * (1 - chance) / total)


def finetune_above_joint(runs: Runs) -> list[Flag]:
    """The lower bound significantly above the upper one: one of the two is not what its name says."""
    flags = []
    accuracies = runs.values("acc")
    for upper in runs.named("upper bound"):
        for lower in runs.named("lower bound"):
            below, above = accuracies[lower], accuracies[upper]
            if not below.keys() & above.keys():
                continue
            difference = paired_test(below, above)
            if difference.mean > 0 and difference.p_value <= ALPHA:
                text = f"{lower}, the lower bound, is {_points(difference.mean)} above {upper}, the upper bound"
                flags += [Flag(lower, "acc", text), Flag(upper, "acc", text)]
    return flags


def far_below_finetune(runs: Runs) -> list[Flag]:
    """A method significantly, and by more than FAR_BELOW, worse than doing nothing: a wrong hyperparameter or a bug."""
    flags = []
    accuracies = runs.values("acc")
    for lower in runs.named("lower bound"):
        floor = accuracies[lower]
        values = {m: accuracies[m] for m in runs.named("method") if accuracies[m].keys() & floor.keys()}
        p_values = p_values_against("", {"": floor} | values)
        for method, by_seed in values.items():
            shared = by_seed.keys() & floor.keys()
            below = sum(floor[seed] - by_seed[seed] for seed in shared) / len(shared)
            if below > FAR_BELOW and p_values.get(method, math.nan) <= ALPHA:
                text = f"{_points(below)} below {lower}, which does nothing against forgetting"
                flags.append(Flag(method, "acc", text))
    return flags


def same_matrix(runs: Runs) -> list[Flag]:
    """Two methods with the same counts in every cell and seed, where chance does not explain it: one of them may not be
    doing anything.

    With one seed all methods begin with the same weights and batches, so that what says anything comes after the first
    task. On easy tasks, any two methods that forget everything have the same matrix.
    """

    def chance(method: str) -> float:
        return math.prod(_chance_of_equal(record, first_row=2) for record in runs.done(method).values())

    found = _alike(runs, "acc", "the same accuracy matrix", _counts)
    return [flag for flag in found if chance(flag.method) < COINCIDENCE]


def same_forward_transfer(runs: Runs) -> list[Flag]:
    """Two methods with the same FWT in every seed although their matrices differ: it may not be measured at all.

    With two tasks FWT is known before any method has done anything, so only longer streams count. Methods with the
    same matrix, which `same_matrix` may name, have the same FWT too.
    """

    values = runs.values("fwt")

    def forward_transfer(record: RunRecord) -> float | None:
        value = values[record.method].get(record.seed, math.nan)
        return None if len(record.matrix.correct) < 4 or math.isnan(value) else round(value, 12)

    found = _alike(runs, "fwt", "the same FWT", forward_transfer)
    equal = {flag.method for flag in _alike(runs, "acc", "", _counts)}
    return [flag for flag in found if flag.method not in equal]


def same_for_every_seed(runs: Runs) -> list[Flag]:
    """The same counts for every seed, where chance does not explain it: the seed may not reach the run."""
    flags = []
    for method in runs.roles:
        done = list(runs.done(method).values())
        matrices = {_counts(record) for record in done}
        if len(done) > 1 and len(matrices) == 1 and _chance_of_equal(done[0]) ** (len(done) - 1) < COINCIDENCE:
            flags.append(Flag(method, "acc", f"the same accuracy matrix for all {len(done)} seeds"))
    return flags


def _chance_of_equal(record: RunRecord, first_row: int = 0) -> float:
    """At most how likely about another run is to get the counts of `record` from this row on by chance.

    Two independent binomial counts of n images with accuracy p are equal with a chance of 1 / sqrt(4 pi n p (1 - p)),
    where that is far below 1. Cells of a column are of the same images, so only the one that says most is taken. And
    counts vary less than binomial ones, as images are not equally hard: by HARD_OR_EASY of it.
    """
    right, total = record.matrix.correct[first_row:], record.matrix.total[first_row:]
    chance = 1.0
    for cells in zip(*(zip(c, n, strict=True) for c, n in zip(right, total, strict=True)), strict=True):
        variance = max((c * (n - c) / n for c, n in cells if c is not None and n), default=0.0)
        chance *= min(1.0, 1 / math.sqrt(4 * math.pi * HARD_OR_EASY * variance)) if variance else 1.0
    return chance


RULES: tuple[Callable[[Runs], list[Flag]], ...] = (
    first_task_at_chance,
    finetune_above_joint,
    far_below_finetune,
    same_matrix,
    same_forward_transfer,
    same_for_every_seed,
)


def _alike(runs: Runs, measure: str, what: str, value: Callable[[RunRecord], Any]) -> list[Flag]:
    """A flag for each method whose `value` is that of another in all of the same seeds; None is like nothing."""
    groups: dict[tuple, list[str]] = defaultdict(list)
    for method in runs.roles:
        values = tuple((seed, value(record)) for seed, record in runs.done(method).items())
        if values and all(v is not None for _, v in values):
            groups[values].append(method)
    return [
        Flag(method, measure, f"{what} as {', '.join(m for m in group if m != method)} in every seed")
        for group in groups.values()
        if len(group) > 1
        for method in group
    ]


def _counts(record: RunRecord) -> tuple:
    return tuple(map(tuple, record.matrix.correct))


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} percentage points"
