"""What a cell leaves behind: a versioned JSON document from which every number in a table is derived.

A record is believed only as a whole: it is checked here, when made and when read, against its own settings and manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from benchmarks.records.checks import (
    check_environment,
    check_manifest,
    check_matrices,
    check_scored,
    check_settings,
    check_tasks,
    sentence,
)
from benchmarks.request.identity import identity_of
from benchmarks.request.names import check_name, check_scenario_name
from metrics import AccuracyMatrix, score
from metrics.accuracy_matrix import LARGEST_TOTAL
from metrics.matrix_stack import Array, arrays_of

SCHEMA = 1
Status = Literal["done", "failed", "diverged"]

LARGEST_FILE = 256 * 2**20
"""Bytes of a document that is read at all; a record of a thousand tasks has 30 million."""

Count = Annotated[int, Field(ge=0, le=LARGEST_TOTAL)]
"""Of images, steps, parameters, bytes."""
Operations = Annotated[int, Field(ge=0, le=10**30)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Table = list[list[Count | None]]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RecordError(ValueError):
    """A document that is no record, or one that contradicts itself; the message is a sentence that says where."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Counts(_Part):
    """An accuracy matrix as counts, (T+1) x T; null where a task could not be evaluated."""

    correct: Table
    total: Table

    @classmethod
    def of(cls, matrix: AccuracyMatrix) -> Counts:
        return cls(correct=matrix.correct, total=matrix.total)

    def matrix(self) -> AccuracyMatrix:
        """The matrix of these counts, made once: read it, record nothing in it."""
        return self._matrix

    @cached_property
    def arrays(self) -> tuple[Array, Array]:
        """Correct and total, (T+1) x T, NaN where a task was not evaluated. Raises ValueError for what is no matrix."""
        return arrays_of(self.correct, self.total)

    @cached_property
    def _matrix(self) -> AccuracyMatrix:
        return AccuracyMatrix.from_counts(self.correct, self.total)

    def __eq__(self, other: object) -> bool:
        # pydantic would compare what is cached too, and arrays have no one truth
        return isinstance(other, Counts) and (self.correct, self.total) == (other.correct, other.total)

    def __copy__(self) -> Counts:
        # A copy may be given other counts (model_copy), so it takes nothing along that was made of these.
        return Counts.model_construct(correct=self.correct, total=self.total)


class Flops(_Part):
    """2 per multiply-add. inference: per image after each task, attention products included; inference_modules:
    the products with weights only (what some papers print); training: all passes of the run, and its parts, null where
    predictions were scored that came without."""

    inference: list[Count]
    inference_modules: list[Count]
    training: Operations | None
    parts: dict[str, Operations]


class Memory(_Part):
    """stored_bytes: what the method keeps between tasks besides its network, by part, after each task;
    peak_bytes: of the process (CPU) or the device, null where the system does not tell."""

    stored_bytes: list[dict[str, Count]]
    peak_bytes: Count | None


class Scored(_Part):
    """Predictions of another program, of which a record holds the counts. file: its name; sha256: of its bytes;
    manifest: the identity of the manifest that they answer; provenance: where they come from, as their user said. What
    they cost is what their user gave, and versions in the environment are those of that program."""

    file: str
    sha256: Digest
    manifest: Digest
    provenance: str = ""


def _checked_by(check: Callable[[dict[str, Any]], None]) -> AfterValidator:
    def validate(value: dict[str, Any]) -> dict[str, Any]:
        check(value)
        return value

    return AfterValidator(validate)


def _encodable(text: Any) -> Any:
    """A traceback may quote bytes that are no text (lone surrogates), which JSON readers refuse."""
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


class RunRecord(_Part):
    """One cell. `identity` is the hash of `settings`; nothing else decides whether two records are of one cell.

    A scored record has no network, training, steps and seconds, and costs only where they were given.

    Raises pydantic's ValidationError, a ValueError, for values that do not agree with each other; `from_json` and
    `from_document` say the first of them in a sentence.
    """

    record_version: Literal[1] = 1
    scenario: Annotated[str, AfterValidator(check_scenario_name)]
    method: Annotated[str, AfterValidator(lambda name: check_name(name, "method"))]
    seed: Count
    status: Status
    error: Annotated[str, BeforeValidator(_encodable)] | None = None
    identity: str
    settings: Annotated[dict[str, Any], _checked_by(check_settings)]
    matrix: Counts
    matrix_other: Counts | None = Field(
        None, description="the same logits under the other reading, see matrix_other_view"
    )
    matrix_other_view: Literal["masked", "unmasked"] | None = None
    not_evaluated: dict[str, str] = Field(default_factory=dict, description="what could not be evaluated, and why")
    flops: Flops
    seconds: dict[str, Seconds]
    steps: Count | None
    parameters: list[dict[str, Count]] = Field(description="total, frozen and trainable after each task")
    memory: Memory
    diagnostics: list[dict[str, float]] = Field(
        default_factory=list, description="what a method says of itself after each task, e.g. exemplars really held"
    )
    scenario_manifest: Annotated[dict[str, Any], _checked_by(check_manifest)]
    environment: Annotated[dict[str, Any], _checked_by(check_environment)]
    source: dict[str, str] = Field(
        default_factory=dict,
        description="the files that decided it, each with a hash of its code (request/source.py); older records have none",
    )
    scored: Scored | None = Field(None, description="where predictions of another program were scored, of which")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if identity_of(self.settings) != self.identity:
            raise ValueError("its settings do not hash to its identity: edited by hand?")
        check_scored(self)
        check_tasks(self)
        check_matrices(self)
        return self

    @classmethod
    def from_json(cls, text: str | bytes) -> RunRecord:
        """The record that `text` is. Raises RecordError."""
        return cls.from_document(parse_json(text))

    @classmethod
    def from_document(cls, document: Any) -> RunRecord:
        """The same of what `parse_json` gave. Raises RecordError."""
        version = document.get("record_version") if isinstance(document, dict) else None
        if type(version) is not int or version != SCHEMA:
            raise RecordError(f"not a record of version {SCHEMA} (record_version {_short(version)})")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise RecordError(sentence(error)) from None

    def score(self, id: str, joint: RunRecord | None = None) -> float:
        """The score `id` of this run; `joint`: the joint method's record, for scores that need one (NaN without)."""
        return score(id, self.matrix.matrix(), joint.matrix.matrix() if joint else None)

    def document(self) -> dict[str, Any]:
        """The record as JSON has it; of one that was run here nothing is said of scoring, as in all older ones."""
        return self.model_dump(mode="json", exclude=None if self.scored else {"scored"})

    def to_json(self) -> str:
        """One top-level key a line: compact, and a diff still shows what changed."""
        items = self.document().items()
        return "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in items) + "\n}\n"

    def comparable(self) -> dict[str, Any]:
        """The record without what two runs of one cell may differ in: times, peak memory, machine, commit and source."""
        document = self.document()
        for key in ("seconds", "environment", "source"):
            del document[key]
        del document["memory"]["peak_bytes"]
        return document


def read_json(path: Path) -> Any:
    """The document in the file. Raises RecordError for what is none, OSError where the file cannot be read."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise RecordError(f"{size / 2**20:,.0f} MiB, larger than any document of records")
    return parse_json(path.read_bytes())


def parse_json(text: str | bytes) -> Any:
    """A JSON document as it may stand in a file of records: UTF-8 without lone surrogates, no NaN, nested less than 200
    deep. Raises RecordError."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise RecordError(f"no JSON document: {error}") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
