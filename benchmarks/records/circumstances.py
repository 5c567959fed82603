"""Where and with what records were made: hardware, versions, commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.records.networks import Settings
from benchmarks.records.record import RunRecord


def circumstances(records: list[RunRecord]) -> dict[str, str]:
    """Where and with what `records` were made; where they differ, each with how many say so."""
    if not records:
        return {"runs": "none yet"}
    said = {
        "hardware": _several(records, lambda e: e.get("hardware"), "times do not compare"),
        "device": _several(records, lambda e: e.get("device")),
        "threads": _several(records, lambda e: e.get("threads")),
        "system": _several(records, lambda e: e.get("system")),
        "commit": _several(records, lambda e: _commit(e.get("commit")), "not all rows come from the same code"),
        "versions": _versions(records),
    }
    # where a method is of a repository of its own, that is what `commit` names
    if any("retain" in r.environment for r in records):
        said["commit of Retain"] = _several(
            records, lambda e: _commit(e.get("retain", e.get("commit"))), "not all rows come from the same code"
        )
    # older records do not say it: they are all fp32
    if any(r.environment.get("precision", "fp32") != "fp32" for r in records):
        said["precision"] = _several(records, lambda e: e.get("precision", "fp32"), "rows differ in precision")
    # nor this: what they had was the BLAS
    if any(r.environment.get("products", "BLAS") != "BLAS" for r in records):
        said["matmul backend"] = _several(records, lambda e: e.get("products", "BLAS"), "times do not compare")
    return said


def _several(records: list[RunRecord], read: Callable[[Settings], Any], warning: str = "") -> str:
    """What the records say of one thing; where they differ, each with how many say so."""
    said = [str(read(record.environment) or "not recorded") for record in records]
    texts = sorted(set(said))
    if len(texts) == 1:
        return texts[0]
    return "; ".join(f"{text} ({said.count(text)} runs)" for text in texts) + (
        f". WARNING: {warning}" if warning else ""
    )


def _commit(commit: str | None) -> str | None:
    if commit is None:
        return None
    identifier, separator, _ = commit.partition("+dirty")
    return identifier[:12] + (" with uncommitted changes" if separator else "")


def _versions(records: list[RunRecord]) -> str:
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.environment.get("versions", {}).items():
            versions.setdefault(package, set()).add(str(version))
    names = sorted(versions, key=lambda name: (name != "python", name))
    return ", ".join(f"{name} {' and '.join(sorted(versions[name]))}" for name in names)
