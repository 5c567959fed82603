"""Which network a cell trained, as settings that can be compared and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from methods import METHODS
from models import ModelSettings

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class NetworkUsed:
    """name: a backbone's, or what a method that builds its own calls it. settings: all that shapes it. backbone: that
    of the model settings, None where they do not shape it. text: it in words."""

    name: str
    settings: Settings
    backbone: str | None
    text: str


def network_of(settings: Settings) -> NetworkUsed:
    """The network of a cell with these resolved settings. Two are the same network where `name` and `settings` are.

    Settings that an older record does not have are at their defaults.
    """
    method, model = settings["method"], settings["model"]
    cls = METHODS.get(method["name"])
    backbone, text = str(model["backbone"]), model_text(model)
    if cls is None or not cls.own_network:
        return NetworkUsed(backbone, _defaults(ModelSettings) | dict(model), backbone, text)
    own = {name: method["settings"].get(name) for name in cls.network_settings}
    if not own:  # of layers that the model settings describe
        own = _defaults(ModelSettings) | dict(model)
        return NetworkUsed(cls.own_network, own, backbone, f"{cls.own_network} of {text}")
    text = ", ".join([cls.own_network, *(f"{k} = {v}" for k, v in own.items())])
    return NetworkUsed(cls.own_network, own, None, text)


def same_network(one: Settings, other: Settings) -> bool:
    """Whether cells with these settings trained the same network."""
    a, b = network_of(one), network_of(other)
    return (a.name, a.settings) == (b.name, b.settings)


def model_text(model: Settings) -> str:
    """The backbone that model settings name, in words."""
    settings = {
        k: v for k, v in model.items() if k in ("hidden", "init") or (k != "head" and said(ModelSettings, k, v))
    }
    settings.pop("backbone", None)
    hidden = settings.pop("hidden", None)
    text = str(model["backbone"])
    if hidden and text == "mlp":
        text += f" with hidden layers of {', '.join(map(str, hidden))}"
    return text + "".join(f", {k} = {v}" for k, v in settings.items())


def said(model: type[BaseModel], name: str, value: Any) -> bool:
    """Whether a setting is worth a word: those that most runs leave alone are named only where they do not."""
    field = model.model_fields.get(name)
    return value is not None and (field is None or value != to_jsonable_python(field.get_default()))


@cache
def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    return {name: to_jsonable_python(field.get_default()) for name, field in model.model_fields.items()}
