"""Predictions that another program made, as a place in a grid: nothing here runs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks.request.identity import identity_of


@dataclass(frozen=True, eq=False)
class ScoredCell:
    """What another program, here called `method_name`, predicts for one scenario and seed; scenario_settings: as in the
    settings of records. Its identity is of these alone: how that program trains is its user's to say."""

    scenario_name: str
    method_name: str
    scenario_settings: dict[str, Any]
    seed: int

    def identity_settings(self) -> dict[str, Any]:
        """As of a cell that runs here, without network and training."""
        method = {"name": self.method_name, "settings": {}}
        return {"scenario": self.scenario_settings, "method": method, "seed": self.seed}

    @cached_property
    def identity(self) -> str:
        return identity_of(self.identity_settings())

    @property
    def label(self) -> str:
        return f"{self.scenario_name} {self.method_name} seed {self.seed}"
