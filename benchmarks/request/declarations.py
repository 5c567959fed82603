"""What methods, streams, networks and the recipe declare of themselves, without importing them where it is noted.

A class that is imported is asked itself, so that those of plug-ins are as ours.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic_core import to_jsonable_python

from benchmarks.request.errors import SettingsError
from benchmarks.request.notes import keeps_notes, noted
from benchmarks.request.plugins import error_text
from benchmarks.request.repository import PACKAGES
from methods import METHODS
from methods import WHERE as METHOD_FILES
from scenarios import SCENARIOS
from scenarios import WHERE as STREAM_FILES
from scenarios.lazy import LazyClasses

T = TypeVar("T")


@dataclass(frozen=True)
class Declared:
    """defaults: of each setting that has one, as JSON. added, former, always, left_out: what of the settings is part of
    identities (identity.py): those added later with what was their default, values that stand for their absence, what is
    always there, what never is."""

    defaults: dict[str, Any]
    added: dict[str, Any] = field(default_factory=dict)
    former: dict[str, Any] = field(default_factory=dict)
    always: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DeclaredMethod(Declared):
    """The class attributes of a method that readers of records need."""

    about: str = ""
    source: str = ""
    family: str = "other"
    needs_task_id: bool = False
    sees_past_data: bool = False
    own_network: str = ""


@dataclass(frozen=True)
class DeclaredNetwork(Declared):
    """fields: the names of its settings; the rest as in `models.settings`."""

    fields: list[str] = field(default_factory=list)
    always_named: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    starts_as: str = ""


@dataclass(frozen=True)
class DeclaredSetting:
    """A setting as in `scenarios.setting`. heads: the output layers that fit it, its default first."""

    about: str
    heads: list[str]
    shared_labels: bool
    task_id_at_test: bool


def method(name: str) -> DeclaredMethod | None:
    """None for a name that METHODS does not have."""
    if name not in METHODS:
        return None
    if not _is_noted(METHODS, name, METHOD_FILES):
        return _method(METHODS[name])
    return _noted("methods", name, DeclaredMethod)


def stream(name: str) -> Declared | None:
    """None for a name that SCENARIOS does not have."""
    if name not in SCENARIOS:
        return None
    if not _is_noted(SCENARIOS, name, STREAM_FILES):
        return _settings(SCENARIOS[name])
    return _noted("streams", name, Declared)


def network_of(backbone: str) -> DeclaredNetwork | None:
    """None for a kind of network that BACKBONES does not have, which is what stands before a colon. "": what all kinds have
    in common."""
    kind = backbone.partition(":")[0]
    if _asks_classes("models"):
        from models import BACKBONES, ModelSettings

        cls = BACKBONES.get(kind) if kind else ModelSettings
        return _network(cls) if cls is not None else None
    return _noted("networks", kind, DeclaredNetwork) if kind in _notes()["networks"] else None


def networks() -> list[str]:
    """The names in BACKBONES."""
    if _asks_classes("models"):
        from models import BACKBONES

        return list(BACKBONES)
    return [kind for kind in _notes()["networks"] if kind]


def recipe() -> Declared:
    if _asks_classes("methods.core.recipe"):
        from methods import Recipe

        return _settings(Recipe)
    return _noted("recipe", "", Declared)


def former_settings() -> dict[str, Any]:
    """What older records hold of the settings of other networks than their own (models.settings.FORMER)."""
    if _asks_classes("models"):
        from models.settings import FORMER

        return FORMER
    return _notes()["former"]


@cache
def settings() -> dict[str, DeclaredSetting]:
    """Task-, domain- and class-incremental."""
    return {name: DeclaredSetting(**own) for name, own in _of_settings()["settings"].items()}


@cache
def heads() -> dict[str, str]:
    """What each output layer is."""
    return _of_settings()["heads"]


def _of_settings() -> dict[str, Any]:
    return _setting_texts() if _asks_classes("scenarios.setting") else _notes()


def _asks_classes(module: str) -> bool:
    return module in sys.modules or not keeps_notes()


def _is_noted(registry: Any, name: str, where: Mapping[str, str]) -> bool:
    return keeps_notes() and name in where and isinstance(registry, LazyClasses) and registry.imported(name) is None


@cache
def _noted(part: str, name: str, kind: type[T]) -> T:
    return kind(**_notes()[part][name])


@cache
def _notes() -> dict[str, Any]:
    return noted("declarations", "", _made)


def _made() -> dict[str, Any]:
    from methods import Recipe
    from models import BACKBONES, ModelSettings
    from models.settings import FORMER

    ours = {name: cls for name, cls in BACKBONES.items() if is_ours(cls)}
    return {
        "methods": {name: asdict(_method(METHODS[name])) for name in METHOD_FILES},
        "streams": {name: asdict(_settings(SCENARIOS[name])) for name in STREAM_FILES},
        "networks": {name: asdict(_network(cls)) for name, cls in {"": ModelSettings, **ours}.items()},
        "recipe": {"": asdict(_settings(Recipe))},
        "former": FORMER,
        **_setting_texts(),
    }


def _setting_texts() -> dict[str, Any]:
    from scenarios.setting import HEADS, SETTINGS

    kinds = {
        name: asdict(DeclaredSetting(s.about, list(s.heads), s.shared_labels, s.task_id_at_test))
        for name, s in SETTINGS.items()
    }
    return {"settings": kinds, "heads": HEADS}


def is_ours(cls: Any) -> bool:
    """Whether a class is Retain's own. Of a plug-in all settings are part of identities, so that its records are read
    without it too."""
    return cls.__module__.split(".")[0] in PACKAGES


def _method(cls: Any) -> DeclaredMethod:
    return _method_with(cls, cls.added_later)


@cache
def _method_with(cls: Any, added_later: frozenset[str]) -> DeclaredMethod:
    try:
        defaults = to_jsonable_python(cls().hyperparameters())
    except Exception as error:  # of a plug-in
        raise SettingsError([f"method {cls.__name__}: {error_text(error)}"]) from error
    added = {k: v for k, v in defaults.items() if k in added_later} if is_ours(cls) else {}
    told = {name: getattr(cls, name) for name in DeclaredMethod.__annotations__}
    return DeclaredMethod(defaults, added, **told)


def _settings(cls: Any) -> Declared:
    return _settings_with(cls, cls.added_later)


@cache
def _settings_with(cls: Any, added_later: frozenset[str]) -> Declared:
    return Declared(**_of_fields(cls, added_later))


def _network(cls: Any) -> DeclaredNetwork:
    return _network_with(cls, cls.added_later)


@cache
def _network_with(cls: Any, added_later: frozenset[str]) -> DeclaredNetwork:
    names: dict[str, Any] = {name: sorted(getattr(cls, name)) for name in ("always_named", "not_compared")}
    rest = _of_fields(cls, added_later)
    return DeclaredNetwork(**rest, fields=list(cls.model_fields), starts_as=cls.starts_as, **names)


def _of_fields(cls: Any, added_later: frozenset[str]) -> dict[str, Any]:
    """The parts of `Declared` of a pydantic class."""
    optional = {name: f for name, f in cls.model_fields.items() if not f.is_required()}
    defaults = {name: to_jsonable_python(f.get_default()) for name, f in optional.items()}
    if not is_ours(cls):
        return {"defaults": defaults}
    added = {name: f.get_default(call_default_factory=True) for name, f in optional.items() if name in added_later}
    return {
        "defaults": defaults,
        "added": to_jsonable_python(added),
        "former": getattr(cls, "former_values", {}),
        "always": getattr(cls, "always_in_identity", {}),
        "left_out": sorted(getattr(cls, "not_in_identity", ())),
    }
