"""In what unit, and with how many digits, a column shows its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.records.columns import Kind
from metrics import Summary

PREFIXES = {1: "", 1e3: "k", 1e6: "M", 1e9: "G", 1e12: "T", 1e15: "P"}


def si(value: float, unit: str = "", digits: int = 3) -> str:
    """A number with the prefix of its size: 20000 is "20 k", of a unit "20 kB"."""
    size = max((step for step in PREFIXES if step <= abs(value) * (1 + 1e-9)), default=1)
    return f"{value / size:.{digits}g} {PREFIXES[size]}{unit}".strip()


@dataclass(frozen=True)
class Unit:
    """`text` stands in the column's head; a raw value times `factor` is what the column shows."""

    text: str
    factor: float


FIXED: dict[Kind, Unit] = {"fraction": Unit("%", 100.0), "difference": Unit("pp", 100.0), "seconds": Unit("s", 1.0)}


def unit_for(kind: Kind, values: Sequence[float]) -> Unit:
    """Percent for fractions, percentage points (pp) for differences of them; costs with the prefix that suits the
    median of `values`. Give the values of the whole suite, so that its tables have the same units."""
    if kind in FIXED:
        return FIXED[kind]
    numbers = sorted(v for v in values if math.isfinite(v) and v > 0)
    middle = numbers[len(numbers) // 2] if numbers else 1.0
    size = max((step for step in PREFIXES if step <= middle), default=1)
    noun = {"flops": "FLOP", "flops per image": "FLOP/image", "bytes": "B"}[kind]
    return Unit(PREFIXES[size] + noun, 1 / size)


def decimals_for(kind: Kind, unit: Unit, summaries: Sequence[Summary]) -> int:
    """Digits after the point, the same in all of a column.

    As many as show two digits of its smallest interval, but never more than two; for accuracies at least one, for costs
    no more than show three digits of the smallest mean. A FLOP or byte has no parts.
    """
    intervals = [abs(s.half_width * unit.factor) for s in summaries if s.half_width > 0]
    wanted = 1 - _magnitude(min(intervals)) if intervals else 2
    if kind in ("fraction", "difference"):
        return min(max(wanted, 1), 2)
    if unit.factor == 1.0 and kind != "seconds":
        return 0
    means = [abs(s.mean * unit.factor) for s in summaries if s.mean > 0]
    digits = 2 - _magnitude(min(means)) if means else 2
    return min(max(min(wanted, digits) if intervals else digits, 0), 2)


def _magnitude(value: float) -> int:
    return math.floor(math.log10(value))


@dataclass(frozen=True)
class Number:
    """A mean and, where there is one to show, the half width of its interval, as text."""

    mean: str
    half_width: str

    def filled(self, width: int, blank: str, digit: str) -> tuple[str, str]:
        """Mean ± half width, filled up to `width` digits so that the signs stand below each other; and what stands behind
        a mean without one."""
        if self.half_width:
            return f"{self.mean}{blank}±{blank}{self.half_width.rjust(width, digit)}", ""
        return self.mean, (3 * blank + width * digit) * bool(width)
