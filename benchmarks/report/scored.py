"""What is said of rows whose predictions another program made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.records.record import RunRecord
from benchmarks.wording import grouped, numbers


def scored_text(records: Sequence[RunRecord]) -> str:
    """A sentence for the note of a row: from what program its predictions came; empty where nothing was scored."""
    said = {numbers([record.seed], "seed"): _source(record) for record in records if record.scored}
    return f"predictions of another program, scored here: {grouped(said)}" if said else ""


def comparison_text(methods: Iterable[str]) -> str:
    """A sentence for below a comparison."""
    named = ", ".join(methods)
    return (
        f"Scored from another program's predictions: {named}. Tasks and images of a seed are the same, initial weights and "
        "batches are that program's own."
        if named
        else ""
    )


def _source(record: RunRecord) -> str:
    assert record.scored is not None
    versions = record.environment.get("versions", {})
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return ", ".join(filter(None, [record.scored.provenance, listed])) or "its user did not say which"
