"""Which network a cell trained, as settings that can be compared and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from methods import METHODS
from models import BACKBONES, ModelSettings, kind_of
from models.settings import FORMER

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class NetworkUsed:
    """text: it in words. compared: what is equal of two cells that trained the same network, or networks that the same
    joint training bounds. backbone: the model settings', None where they do not shape the network."""

    text: str
    compared: tuple[str, Settings]
    backbone: str | None


def network_of(settings: Settings) -> NetworkUsed:
    """The network of a cell with these resolved settings. Settings that an older record does not have are at their
    defaults."""
    method, model = settings["method"], settings.get("model")
    if model is None:  # predictions of another program were scored
        return NetworkUsed("a network of another program", ("", {"program": method["name"]}), None)
    cls = METHODS.get(method["name"])
    backbone, text, compared = str(model["backbone"]), model_text(model), _compared(model)
    if cls is None or not cls.own_network:
        return NetworkUsed(text, compared, backbone)
    own = cls.own_network.format_map(cls().hyperparameters() | method["settings"] | {"model": text})
    if "{model}" in cls.own_network:
        return NetworkUsed(own, (cls.own_network, dict([compared])), backbone)
    return NetworkUsed(own, (own, {}), None)


def same_network(one: Settings, other: Settings) -> bool:
    """Whether cells with these settings trained the same network; one that grows counts as what it starts as."""
    return network_of(one).compared == network_of(other).compared


def model_text(model: Settings) -> str:
    """The network that model settings name, in words."""
    cls = _class(model)
    usual = FORMER | _defaults(cls)
    said = {k: v for k, v in model.items() if k in cls.always_named or (v is not None and v != usual.get(k))}
    text = str(said.pop("backbone", model["backbone"]))
    said.pop("head", None)
    hidden = said.pop("hidden", None)
    if hidden and text == "mlp":
        text += f" with hidden layers of {', '.join(map(str, hidden))}"
    return text + "".join(f", {k} = {v}" for k, v in said.items())


def said(model: type[BaseModel], name: str, value: Any) -> bool:
    """Whether a setting is worth a word: those that most runs leave alone are named only where they do not."""
    field = model.model_fields.get(name)
    return value is not None and (field is None or value != to_jsonable_python(field.get_default()))


def _compared(model: Settings) -> tuple[str, Settings]:
    """The backbone and all that shapes it; of a network that grows, of what it starts as."""
    cls = _class(model)
    name = cls.starts_as or str(model["backbone"])
    first = BACKBONES.get(cls.starts_as, cls)
    values = FORMER | _defaults(first) | _defaults(cls) | dict(model)
    return name, {
        k: v for k, v in values.items() if k in first.model_fields and k not in {"backbone", *cls.not_compared}
    }


def _class(model: Settings) -> type[ModelSettings]:
    return BACKBONES.get(kind_of(str(model["backbone"])), ModelSettings)


@cache
def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    found = {name: field for name, field in model.model_fields.items() if not field.is_required()}
    return {name: to_jsonable_python(field.get_default()) for name, field in found.items()}
