"""The learning rate over a phase."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Schedule = Literal["constant", "cosine", "multistep"]


def lr_factor(
    schedule: Schedule,
    total: int,
    milestones: list[int],
    gamma: float = 0.1,
    warmup: int = 0,
    warmup_start: float = 0.0,
    minimum: float = 0.0,
) -> Callable[[int], float]:
    """What the learning rate is multiplied with at a step from 0; lengths and milestones in steps.

    constant; cosine: from 1 down to `minimum` at step `total`; multistep: times `gamma` from each milestone on.
    For `warmup` steps it instead rises linearly from `warmup_start` to 1, and the schedule takes over where it then
    is (as in timm, whose warm-up does not delay it). warmup_start and minimum: as parts of the full rate.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return warmup_start + (1 - warmup_start) * step / warmup
        if schedule == "cosine":
            return minimum + (1 - minimum) * (0.5 * (1 + math.cos(math.pi * min(step, total) / total)))
        if schedule == "multistep":
            return gamma ** sum(step >= milestone for milestone in milestones)
        return 1.0

    return factor
