"""What the gate asks of a challenger, as data.

The defaults are the three rules of the article on the three scenarios: ACC may drop by at most 0.02, the largest
forgetting may be at most 0.05, BWT may drop by at most 0.03.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmarks.records.columns import COSTS, Measure, measure
from benchmarks.request.errors import SettingsError
from metrics import SCORES
from scenarios.nearest import nearest

Kind = Literal["drop", "limit", "growth"]


@dataclass(frozen=True)
class Rule:
    """One thing a challenger must hold.

    measure: id of a score (`list metrics`) or of a cost. kind: "drop", worse than the champion by at most `margin`;
    "limit", no worse than `margin` whatever the champion does; "growth", at most (1 + margin) times the champion's.
    yields: of a limit, that it becomes a drop rule of the same margin where the champion itself is beyond it. No
    challenger equal to such a champion could hold the limit, so it would tell good ones from bad ones no longer.
    """

    measure: str
    kind: Kind
    margin: float
    yields: bool = False

    @property
    def what(self) -> Measure:
        return measure(self.measure)

    def __str__(self) -> str:
        name, margin = self.what.label, f"{self.margin:g}"
        if self.kind == "growth":
            return f"{self.measure} grow{'s' * (self.measure == 'memory')} by at most {100 * self.margin:g}%"
        if self.kind == "limit":
            return f"{name} at {'most' if self.what.direction == 'lower' else 'least'} {margin}"
        return f"{name} {'rises' if self.what.direction == 'lower' else 'drops'} by at most {margin}"


MAX_ACC_DROP, MAX_FM, MAX_BWT_DROP = 0.02, 0.05, 0.03
FLOPS = ("flops.training", "flops.inference")


def make_rules(
    max_acc_drop: float = MAX_ACC_DROP,
    max_fm: float | None = None,
    max_bwt_drop: float = MAX_BWT_DROP,
    max_flops_growth: float | None = None,
    max_seconds_growth: float | None = None,
    drops: list[str] | None = None,
    limits: list[str] | None = None,
    growths: list[str] | None = None,
) -> list[Rule]:
    """The three default rules with these margins, and a rule for each "ID=MARGIN" of `drops`, `limits`, `growths`.

    max_fm: None is the default limit, which yields to a champion beyond it; a number given binds in any case. A rule
    about the same measure and of the same kind as an earlier one takes its place.
    Raises SettingsError with everything that is wrong.
    """
    rules = [
        Rule("acc", "drop", max_acc_drop),
        Rule("fm.max", "limit", MAX_FM if max_fm is None else max_fm, yields=max_fm is None),
        Rule("bwt", "drop", max_bwt_drop),
    ]
    if max_flops_growth is not None:
        rules += [Rule(id, "growth", max_flops_growth) for id in FLOPS]
    if max_seconds_growth is not None:
        rules.append(Rule("seconds", "growth", max_seconds_growth))
    problems: list[str] = []
    options: list[tuple[str, Kind, list[str] | None]] = [
        ("--max-drop", "drop", drops),
        ("--limit", "limit", limits),
        ("--max-growth", "growth", growths),
    ]
    for option, kind, texts in options:
        for text in texts or []:
            rule = _parse(option, kind, text, problems)
            if rule is not None:
                rules.append(rule)
    for rule in rules:
        if math.isnan(rule.margin) or (rule.margin < 0 and rule.kind != "limit"):
            problems.append(f"{rule.measure}: a margin of {rule.margin:g}; give a number of at least 0")
    if problems:
        raise SettingsError(problems)
    return list({(rule.measure, rule.kind): rule for rule in rules}.values())


def _parse(option: str, kind: Kind, text: str, problems: list[str]) -> Rule | None:
    id, separator, number = text.partition("=")
    id = id.strip()
    try:
        margin = float(number)
    except ValueError:
        margin = math.nan
    if not separator or math.isnan(margin):
        example = "memory=0.1" if kind == "growth" else "la=0.02"
        problems.append(f"{option} {text!r}: write ID=NUMBER, e.g. {option} {example}")
        return None
    known = list(COSTS) if kind == "growth" else list(SCORES)
    if id not in known:
        what, otherwise = "cost" if kind == "growth" else "score", f"known: {', '.join(known)}"
        problems.append(f"{option} {text!r}: {id!r} is no {what}{nearest(id, known, otherwise)}")
        return None
    if "joint" in getattr(SCORES.get(id), "needs", ()):
        problems.append(f"{option} {text!r}: {id} compares with the joint method, whose records the gate has not")
        return None
    return Rule(id, kind, margin)
