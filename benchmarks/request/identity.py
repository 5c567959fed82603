"""What decides a cell, as one hash: its resolved settings, without names, paths, devices or the number of workers.

The data counts by its settings and, in the record, by its checksum; the code by the hashes in source.py.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from pydantic_core import to_jsonable_python

from benchmarks.request.repository import PACKAGES
from methods import METHODS, Method, Recipe
from models import BACKBONES, kind_of
from scenarios import SCENARIOS


def identity_of(settings: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of resolved settings.

    Settings that their class lists in `added_later` are left out where they have their default, which is what was done
    before there were any (or else stands in `former_values`): so records stay valid when a setting is added.
    """
    return hashlib.sha256(json.dumps(relevant(settings), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def relevant(settings: dict[str, Any]) -> dict[str, Any]:
    """Resolved settings as identities have them: without those that were added later and have their default."""
    return {part: _without_added(part, values) for part, values in settings.items()}


def _without_added(part: str, values: Any) -> Any:
    cls: Any = Recipe if part == "training" else None
    if part == "model":
        cls = _ours(BACKBONES.get(kind_of(str(values.get("backbone")))))
    if part == "scenario":
        cls = _ours(SCENARIOS.get(values.get("stream")))
    if part == "method":
        cls = _ours(METHODS.get(values.get("name")))
        defaults = _method_defaults(cls) if cls else {}
        own = {k: v for k, v in values.get("settings", {}).items() if not _is_new(cls, k, v, defaults)}
        return values | {"settings": own} if cls else values
    if cls is None:
        return values
    defaults = _added_defaults(cls, cls.added_later)
    former = getattr(cls, "former_values", {})
    values = getattr(cls, "always_in_identity", {}) | values
    left_out: frozenset[str] = getattr(cls, "not_in_identity", frozenset())
    return {
        k: v
        for k, v in values.items()
        if not (k in left_out or _is_new(cls, k, v, defaults) or (k in former and v == former[k]))
    }


def _ours(cls: Any) -> Any:
    """`cls` if it is Retain's own. Of a plug-in nothing is left out, so that its records are read without it too."""
    return cls if cls is not None and cls.__module__.split(".")[0] in PACKAGES else None


@cache
def _added_defaults(cls: Any, added: frozenset[str]) -> dict[str, Any]:
    return {n: f.get_default(call_default_factory=True) for n, f in cls.model_fields.items() if n in added}


@cache
def _method_defaults(cls: type[Method]) -> dict[str, Any]:
    return cls().hyperparameters()


def _is_new(cls: Any, name: str, value: Any, defaults: dict[str, Any]) -> bool:
    return cls is not None and name in cls.added_later and value == to_jsonable_python(defaults[name])
