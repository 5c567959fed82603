"""Which settings are of validation images, told without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def has_validation(scenario: Mapping[str, Any]) -> bool:
    """Whether a scenario with these settings is evaluated on validation images (scenarios/validation.py)."""
    return scenario.get("validation") is not None
