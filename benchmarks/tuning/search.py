"""What is tried next: random search or TPE (Bergstra et al. 2011), both optuna's, asked in batches of a fixed size.

What is asked depends on the seed and on the results told in the order of the trials, never on when each was finished: a
search that is begun anew and told the same results asks for the same trials.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from benchmarks.tuning.space import Dimension

DIGITS = 4
"""Significant digits of a number that is tried: more decide nothing, and a suite shows them."""
RANDOM_FIRST = 10
"""As many trials, or a third of all where that is less, TPE draws at random before it has anything to go by."""


class Search:
    """A search of `space` for the highest or lowest value; seed: below 2**32."""

    def __init__(
        self,
        space: Mapping[str, Dimension],
        sampler: Literal["random", "tpe"],
        direction: Literal["higher", "lower"],
        trials: int,
        seed: int,
    ):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made = (
                optuna.samplers.RandomSampler(seed=seed)
                if sampler == "random"
                # constant_liar: what is asked for together takes account of itself
                else optuna.samplers.TPESampler(
                    seed=seed, n_startup_trials=min(RANDOM_FIRST, max(1, trials // 3)), constant_liar=True
                )
            )
        self.space, self.worst = space, -math.inf if direction == "higher" else math.inf
        self._study = optuna.create_study(direction="maximize" if direction == "higher" else "minimize", sampler=made)
        self._distributions = {key: _distribution(dimension) for key, dimension in space.items()}
        self._open: list[Any] = []

    def ask(self, n: int) -> list[dict[str, Any]]:
        """The settings of the next `n` trials."""
        self._open = [self._study.ask(self._distributions) for _ in range(n)]
        return [{k: _value(self.space[k], trial.params[k]) for k in self.space} for trial in self._open]

    def tell(self, values: Sequence[float | None]) -> None:
        """The values of the trials asked for last, in their order; None for one that diverged, which is worse than all."""
        for trial, value in zip(self._open, values, strict=True):
            self._study.tell(trial, self.worst if value is None else value)


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.categorical is not None:
        return CategoricalDistribution(range(len(dimension.categorical)))  # by place: values may be lists
    if dimension.int_ is not None:
        return IntDistribution(*dimension.int_)
    low, high = dimension.loguniform or dimension.uniform or (0.0, 1.0)
    return FloatDistribution(low, high, log=dimension.loguniform is not None)


def _value(dimension: Dimension, drawn: Any) -> Any:
    if dimension.categorical is not None:
        return dimension.categorical[drawn]
    if dimension.int_ is not None:
        return int(drawn)
    low, high = dimension.loguniform or dimension.uniform or (0.0, 1.0)
    return min(max(float(f"{drawn:.{DIGITS}g}"), low), high)
