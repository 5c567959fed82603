"""What a cell leaves behind: a versioned JSON document from which every number in a table is derived."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from metrics import AccuracyMatrix

SCHEMA = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counts(_Part):
    """An accuracy matrix as counts, (T+1) x T; null where a task could not be evaluated."""

    correct: list[list[int | None]]
    total: list[list[int | None]]

    @classmethod
    def of(cls, matrix: AccuracyMatrix) -> Counts:
        return cls(correct=matrix.correct, total=matrix.total)

    def matrix(self) -> AccuracyMatrix:
        return AccuracyMatrix.from_counts(self.correct, self.total)


class Flops(_Part):
    """2 per multiply-add. inference: per image after each task, attention products included; inference_modules:
    the products with weights only (what some papers print); training: all passes of the run, and its parts."""

    inference: list[int]
    inference_modules: list[int]
    training: int
    parts: dict[str, int]


class Memory(_Part):
    """stored_bytes: what the method keeps between tasks besides its network, by part, after each task;
    peak_bytes: of the process (CPU) or the device, null where the system does not tell."""

    stored_bytes: list[dict[str, int]]
    peak_bytes: int | None


class RunRecord(_Part):
    """One cell. `identity` is the hash of `settings`; nothing else decides whether two records are of one cell."""

    record_version: int = SCHEMA
    scenario: str
    method: str
    seed: int
    status: Literal["done", "failed", "diverged"]
    error: str | None = None
    identity: str
    settings: dict[str, Any]
    matrix: Counts
    matrix_other: Counts | None = Field(
        None, description="the same logits under the other reading, see matrix_other_view"
    )
    matrix_other_view: str | None = Field(None, description='"masked" or "unmasked"')
    not_evaluated: dict[str, str] = Field(default_factory=dict, description="what could not be evaluated, and why")
    flops: Flops
    seconds: dict[str, float]
    steps: int
    parameters: list[dict[str, int]] = Field(description="total, frozen and trainable after each task")
    memory: Memory
    diagnostics: list[dict[str, float]] = Field(
        default_factory=list, description="what a method says of itself after each task, e.g. exemplars really held"
    )
    scenario_manifest: dict[str, Any]
    environment: dict[str, Any]
    source: dict[str, str] = Field(
        default_factory=dict,
        description="the files that decided it, each with a hash of its code (benchmarks/source.py); older records have none",
    )

    def to_json(self) -> str:
        """One top-level key a line: compact, and a diff still shows what changed."""
        items = self.model_dump(mode="json").items()
        return "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in items) + "\n}\n"

    def comparable(self) -> dict[str, Any]:
        """The record without what two runs of one cell may differ in: times, peak memory, machine, commit and source."""
        document = self.model_dump(mode="json")
        for key in ("seconds", "environment", "source"):
            del document[key]
        del document["memory"]["peak_bytes"]
        return document
