"""Which network a cell trained, as settings that can be compared and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.request import declarations
from benchmarks.request.declarations import Declared, DeclaredNetwork

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
    declared = declarations.method(method["name"])
    backbone, text, compared = str(model["backbone"]), model_text(model), _compared(model)
    if declared is None or not declared.own_network:
        return NetworkUsed(text, compared, backbone)
    own = declared.own_network.format_map(declared.defaults | method["settings"] | {"model": text})
    if "{model}" in declared.own_network:
        return NetworkUsed(own, (declared.own_network, dict([compared])), backbone)
    return NetworkUsed(own, (own, {}), None)


def same_network(one: Settings, other: Settings) -> bool:
    """Whether cells with these settings trained the same network; one that grows counts as what it starts as."""
    return network_of(one).compared == network_of(other).compared


def model_text(model: Settings) -> str:
    """The network that model settings name, in words."""
    declared = _declared(model)
    usual = declarations.former_settings() | declared.defaults
    said = {k: v for k, v in model.items() if k in declared.always_named or (v is not None and v != usual.get(k))}
    text = str(said.pop("backbone", model["backbone"]))
    said.pop("head", None)
    hidden = said.pop("hidden", None)
    if hidden and text == "mlp":
        text += f" with hidden layers of {', '.join(map(str, hidden))}"
    return text + "".join(f", {k} = {v}" for k, v in sorted(said.items()))


def said(declared: Declared, name: str, value: Any) -> bool:
    """Whether a setting is worth a word: those that most runs leave alone are named only where they do not."""
    return value is not None and value != declared.defaults.get(name)


def _compared(model: Settings) -> tuple[str, Settings]:
    """The backbone and all that shapes it; of a network that grows, of what it starts as."""
    declared = _declared(model)
    name = declared.starts_as or str(model["backbone"])
    first = (declarations.network_of(declared.starts_as) if declared.starts_as else None) or declared
    values = declarations.former_settings() | first.defaults | declared.defaults | dict(model)
    return name, {
        k: v for k, v in values.items() if k in first.fields and k not in {"backbone", *declared.not_compared}
    }


def _declared(model: Settings) -> DeclaredNetwork:
    found = declarations.network_of(str(model["backbone"])) or declarations.network_of("")
    assert found is not None
    return found
