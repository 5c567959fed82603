"""What decides a cell, as one hash: its resolved settings, without names, paths, devices or the number of workers.

The data counts by its settings and, in the record, by its checksum; the code by the hashes in source.py.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from benchmarks.request import declarations
from benchmarks.request.declarations import Declared


def identity_of(settings: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of resolved settings.

    Settings that their class lists in `added_later` are left out where they have their default, which is what was done
    before there were any (or else stands in `former_values`): so records stay valid when a setting is added.
    """
    return hash_of(relevant(settings))


def hash_of(relevant: dict[str, Any]) -> str:
    """The identity of settings that are `relevant` already."""
    return hashlib.sha256(json.dumps(relevant, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def relevant(settings: dict[str, Any]) -> dict[str, Any]:
    """Resolved settings as identities have them: without those that were added later and have their default."""
    return {part: _without_added(part, values) for part, values in settings.items()}


def _without_added(part: str, values: Any) -> Any:
    if part == "training":
        return _kept(declarations.recipe(), values)
    if part == "model":
        return _kept(declarations.network_of(str(values.get("backbone"))), values)
    if part == "scenario":
        return _kept(declarations.stream(values.get("stream")), values)
    if part == "method" and (declared := declarations.method(values.get("name"))):
        return values | {"settings": _kept(declared, values.get("settings", {}))}
    return values


def _kept(declared: Declared | None, values: dict[str, Any]) -> dict[str, Any]:
    if declared is None:
        return values
    added, former, left_out = declared.added, declared.former, declared.left_out
    return {
        k: v
        for k, v in (declared.always | values).items()
        if not (k in left_out or (k in added and v == added[k]) or (k in former and v == former[k]))
    }
