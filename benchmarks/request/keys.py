"""Dotted keys of settings, e.g. "optimizer.lr"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel


def dotted_fields(model: type[BaseModel]) -> list[str]:
    """Names of the fields of `model` and, after a dot, of the models inside them."""
    names = []
    for name, field in model.model_fields.items():
        names.append(name)
        names += [f"{name}.{inner}" for part in _models_in(field.annotation) for inner in dotted_fields(part)]
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models that a field may hold, also inside tuples and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting with its dotted key; a mapping of none is a setting itself."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
