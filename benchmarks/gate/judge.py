"""The gate: may this challenger take the champion's place?

Both sides are run records. Each rule is judged in each scenario, from counts; `benchmarks.gate.statistics` has the statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from benchmarks.gate.champion import Entrant
from benchmarks.gate.comparable import check_comparable, counts
from benchmarks.gate.remarks import left_out, provenance, remarks
from benchmarks.gate.rules import Rule
from benchmarks.gate.statistics import (
    ALPHA,
    MOST_SEEDS,
    BySeed,
    Decision,
    Question,
    decide,
    difference,
    of_counts,
    overall,
)
from benchmarks.records.record import RunRecord
from benchmarks.records.remarks import why_absent
from benchmarks.request.errors import SettingsError
from metrics import summarise

VERDICT_VERSION = 1
EXIT_CODES = {"pass": 0, "fail": 1, "refused": 2, "inconclusive": 3}
"""2 is also what a wrong command line ends with."""


@dataclass(frozen=True)
class Finding:
    """One rule in one scenario.

    champion, challenger: means over their seeds. quantity: what estimate, low, high (its 90% interval) and margin speak
    of: "drop" or "rise" against the champion (positive is worse), "value", or "growth" (0.1 is 10% more). p_value: that
    there is no drop, corrected for the number of rules and scenarios. reason: why it is n/a, or how the rule was read.
    """

    scenario: str
    measure: str
    rule: str
    outcome: Literal["pass", "fail", "inconclusive", "n/a"]
    quantity: str = ""
    champion: float = math.nan
    challenger: float = math.nan
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    margin: float = math.nan
    p_value: float = math.nan
    seeds: int = 0
    more_seeds: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the gate says. more_seeds: of an inconclusive one. refusal: why nothing was compared. notes: what the
    records rest on and a reader should know. inconclusive_ok: an inconclusive one exits with 0."""

    verdict: Literal["pass", "fail", "inconclusive", "refused"]
    champion: str
    challenger: str
    findings: tuple[Finding, ...] = ()
    more_seeds: int | None = None
    notes: tuple[str, ...] = ()
    refusal: tuple[str, ...] = ()
    inconclusive_ok: bool = False

    @property
    def exit_code(self) -> int:
        if self.verdict == "inconclusive" and self.inconclusive_ok:
            return 0
        return EXIT_CODES[self.verdict]

    @property
    def headline(self) -> str:
        """The verdict in words."""
        if self.verdict == "inconclusive":
            allowed = " (allowed by --inconclusive-ok)" if self.inconclusive_ok else ""
            return f"inconclusive, run {seeds_text(self.more_seeds)} more seeds of both{allowed}"
        return self.verdict

    def document(self) -> dict[str, Any]:
        """For JSON: numbers that do not exist are null."""
        plain = {"verdict_version": VERDICT_VERSION, "exit_code": self.exit_code, "alpha": ALPHA} | asdict(self)
        return _without_nan(plain)


def gate(
    champion: Entrant,
    challenger: Entrant,
    rules: list[Rule],
    alpha: float = ALPHA,
    run_again: Callable[[Entrant], list[str]] | None = None,
) -> Verdict:
    """The verdict on `challenger`, at the champion's seeds. Raises SettingsError where the two may not be compared, with
    every reason. run_again: runs cells of a comparable challenger again and says how they came out (see `rerun`)."""
    check_comparable(champion, challenger, rules)
    notes = left_out(champion, challenger)
    challenger = challenger.of_seeds(champion.scenarios)
    notes += remarks(champion, challenger)
    again = run_again(challenger) if run_again else []
    asked = [_ask(champion, challenger, scenario, rule) for scenario in champion.records for rule in rules]
    questions = [a.posed.question for a in asked if a.posed is not None]
    if not questions:
        raise SettingsError(["refused: no rule applies: " + "; ".join(a.finding.reason for a in asked)])
    decisions = iter(decide(questions, alpha))
    findings = tuple(a.finding if a.posed is None else a.answered(next(decisions)) for a in asked)
    outcome = overall([f.outcome for f in findings if f.outcome != "n/a"])
    return Verdict(
        outcome,
        f"{champion.name} ({champion.where})",
        f"{challenger.name} ({challenger.where})",
        findings,
        max((f.more_seeds or 0 for f in findings), default=0) if outcome == "inconclusive" else None,
        tuple(provenance(champion, challenger, again) + notes),
    )


def seeds_text(n: int | None) -> str:
    """ "12", or "1000 or" where a decision would take even more ("run 1000 or more seeds")."""
    return f"{n} or" if n == MOST_SEEDS else str(n)


@dataclass(frozen=True)
class Posed:
    """A rule put as a question. sign and log lead back from the question's x to the measure's own scale."""

    question: Question
    quantity: Literal["drop", "rise", "value", "growth"]
    sign: int = 1
    log: bool = False
    reason: str = ""
    """Why the rule was read otherwise than it is written."""

    def scaled(self, x: float) -> float:
        return math.expm1(x) if self.log else self.sign * x


def pose(rule: Rule, old: BySeed, new: BySeed, images: int, same_counts: bool = False) -> Posed:
    """The question that `rule` puts about the champion's values `old` and the challenger's `new`, by seed.

    images: of the smallest test set. same_counts: the two have equal counts throughout, as where a change touches no
    result: their difference is then 0 and no estimate.
    """
    worse = 1 if rule.what.direction == "lower" else -1
    if rule.kind == "growth":
        logs = [{seed: math.log(v) for seed, v in side.items()} for side in (new, old)]
        return Posed(Question(difference(*logs), math.log1p(rule.margin), 0.0), "growth", log=True)
    if rule.kind == "limit" and not (rule.yields and worse * (summarise(list(old.values())).mean - rule.margin) > 0):
        bound = worse * rule.margin
        values = of_counts(summarise([worse * v for v in new.values()]), images)
        return Posed(Question(values, bound, bound), "value", sign=worse)
    reason = ""
    if rule.kind == "limit":
        reason = f"the champion itself is beyond the limit of {rule.margin:g}, so the two are compared"
    estimate = difference({s: worse * v for s, v in new.items()}, {s: worse * v for s, v in old.items()})
    if not same_counts:
        estimate = of_counts(estimate, images)
    return Posed(Question(estimate, rule.margin, 0.0), "rise" if worse == 1 else "drop", reason=reason)


@dataclass(frozen=True)
class _Asked:
    """A finding before its decision; n/a where nothing was posed."""

    rule: Rule
    finding: Finding
    posed: Posed | None = None

    def answered(self, decision: Decision) -> Finding:
        assert self.posed is not None
        ends = sorted(self.posed.scaled(x) for x in (decision.low, decision.high))
        rule = str(replace(self.rule, kind="drop")) if self.posed.reason else self.finding.rule
        return replace(
            self.finding,
            rule=rule,
            outcome=decision.outcome,
            quantity=self.posed.quantity,
            estimate=self.posed.scaled(self.posed.question.estimate.mean),
            low=ends[0],
            high=ends[1],
            p_value=decision.p_value,
            seeds=self.posed.question.estimate.n,
            more_seeds=decision.more_seeds,
            reason=self.posed.reason,
        )


def _ask(champion: Entrant, challenger: Entrant, scenario: str, rule: Rule) -> _Asked:
    """Puts `rule` in `scenario`; n/a where its measure does not exist there for either side."""
    id = rule.measure
    values: list[dict[int, float]] = []
    reasons = []
    for side in (champion, challenger):
        rows = side.frame[side.frame["scenario"] == scenario]
        values.append(dict(zip(rows["seed"].tolist(), rows[id].tolist())))
        reasons += [why_absent(id, record) or "NaN" for record in rows["record"][rows[id].isna()]]
    finding = Finding(scenario, rule.measure, str(rule), "n/a", margin=rule.margin)
    if reasons:
        if len(reasons) < sum(map(len, values)):
            raise SettingsError([f"refused: {scenario}: some records have no {rule.measure}: {reasons[0]}"])
        return _Asked(rule, replace(finding, reason=reasons[0]))
    old, new = values
    if rule.kind == "growth" and min(*old.values(), *new.values()) <= 0:
        raise SettingsError([f"refused: {scenario}: {rule.measure} of 0 has no growth"])
    means = [summarise(list(v.values())).mean for v in values]
    posed = pose(rule, old, new, *_counted(champion.records[scenario], challenger.records[scenario]))
    return _Asked(rule, replace(finding, champion=means[0], challenger=means[1]), posed)


def _counted(old: dict[int, RunRecord], new: dict[int, RunRecord]) -> tuple[int, bool]:
    """Images of the smallest test set, and whether the two sides have equal counts in every cell."""
    images = min(n for record in old.values() for row in record.matrix.total for n in row if n)
    return images, all(counts(old[seed]) == counts(new[seed]) for seed in old)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
