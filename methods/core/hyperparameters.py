"""Hyperparameters of methods: declared, checked, and what is wrong with them said with the nearest name."""

from __future__ import annotations

from dataclasses import MISSING, field, fields
from functools import cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from scenarios.nearest import nearest_setting


def hyper(default: Any, about: str, source: str = "") -> Any:
    """A hyperparameter: its default, what it is in one line, and where the default comes from."""
    return field(default=default, metadata={"about": about, "source": source})


def explain(error: ValidationError, known: list[str] | None = None, within: str = "") -> list[str]:
    """A pydantic error as lines "dotted.key: what is wrong", unknown keys with the nearest of the dotted keys `known`.

    within: the dotted key that what was checked stands under, before every key that is named.
    """
    lines = []
    for e in error.errors():
        loc = [str(part) for part in e["loc"]]
        key = ".".join([within, *loc] if within else loc)
        if e["type"] == "extra_forbidden":
            said = ".".join(part for part in loc if not part.isdecimal())
            lines.append(f"{key}: no such setting{nearest_setting(said, known or [], within=within)}")
        else:
            message = e["msg"].removeprefix("Value error, ")
            lines.append(f"{key}: {message}" if key else message)
    return lines


def hyperparameter_model(cls: type):
    """A strict pydantic model of the hyperparameters of `cls`, made once."""
    return _model(cls)


@cache
def _model(cls: Any):
    hints = get_type_hints(cls, include_extras=True)
    definitions: dict[str, Any] = {
        f.name: (hints[f.name], ... if f.default is MISSING else f.default) for f in fields(cls)
    }
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid", strict=True), **definitions)
