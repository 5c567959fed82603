"""Hyperparameters of methods: declared, checked, fixed, and what is wrong with them said with the nearest name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import MISSING, field, fields
from functools import cache
from typing import Any, Self, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from scenarios.nearest import closest, nearest_setting


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


class Configured:
    """A dataclass whose fields are hyperparameters: validated where it is made, and fixed from then on."""

    def __post_init__(self):
        settings = self.hyperparameters()
        try:
            checked = hyperparameter_model(type(self))(**settings)
        except ValidationError as error:
            raise ValueError(f"{type(self).__name__}: " + "; ".join(explain(error))) from None
        for name in settings:
            object.__setattr__(self, name, getattr(checked, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and name in self._hyperparameter_names():
            raise AttributeError(f"{type(self).__name__}.{name} is a hyperparameter and stays as constructed")
        object.__setattr__(self, name, value)

    def hyperparameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._hyperparameter_names()}

    @classmethod
    def _hyperparameter_names(cls) -> list[str]:
        return [f.name for f in fields(cls)]  # type: ignore[arg-type]  # subclasses are dataclasses

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """The method with `settings` in place of defaults.

        Raises ValueError that names every unknown or ill-typed one, a line each, with the nearest valid name.
        """
        try:
            checked = hyperparameter_model(cls)(**settings)
        except ValidationError as error:
            raise ValueError("\n".join(explain(error, cls._hyperparameter_names()))) from None
        return cls(**checked.model_dump())


def check_hooks(cls: type, hooks: Iterable[str]) -> None:
    """A public method that is nearly, but not quite, a hook is a misspelling: TypeError at class creation."""
    for name, value in vars(cls).items():
        if name.startswith("_") or not inspect.isfunction(value) or name in hooks:
            continue
        near = closest(name, hooks, cutoff=0.75)
        if near is not None:
            raise TypeError(
                f"{cls.__name__}.{name} looks like the hook {near!r}, misspelt: nothing would call it. "
                f"Rename it, or give a helper a name of its own (a leading underscore will do)."
            )
