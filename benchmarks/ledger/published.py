"""Published values, and which cell of ours answers each.

references/<protocol>.csv holds what a publication printed, a row a value; references/<protocol>.yaml what is ours: the
scenario and method of the suite that answer it, why some rows have none, and what is known of those that differ.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from benchmarks.request import declarations
from benchmarks.request.errors import SettingsError
from benchmarks.request.suite import Suite
from benchmarks.request.suite_yaml import read_yaml
from methods.core.hyperparameters import explain
from metrics import SCORES, Estimate, standard_error
from scenarios.nearest import nearest

REFERENCES = Path(__file__).parent / "references"

CONFIDENCE = {
    "primary": "read from the publication or its authors' own figure",
    "secondary1": "from one transcription by others, not checked against the publication",
}
"""How sure a transcription is."""

Cause = Literal["wrong transcription", "our bug", "underspecified protocol", "unknown"]


class Published(BaseModel):
    """One published cell. mean and spread in `unit`; spread_kind: "std" of the n runs or "sem", the standard error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    scenario: str
    method: str
    metric: str
    mean: float
    spread: float | None
    spread_kind: Literal["std", "sem"] | None
    n: int | None
    unit: Literal["percent"]
    confidence: Literal["primary", "secondary1"]
    source: str
    note: str = ""

    @model_validator(mode="after")
    def _spread_is_whole(self) -> Published:
        if not math.isfinite(self.mean):
            raise ValueError(f"mean is {self.mean}")
        if (self.spread is None) != (self.spread_kind is None):
            raise ValueError("give both spread and spread_kind, or neither")
        if self.spread is not None and (not 0 <= self.spread < math.inf or self.n is None or self.n < 2):
            raise ValueError("a spread is at least 0 and needs n, the number of runs it is over, at least 2")
        return self

    @property
    def estimate(self) -> Estimate:
        """The mean with its standard error, in `unit`; exact where no spread is printed."""
        if self.spread is None or self.spread_kind is None or self.n is None:
            return Estimate(self.mean, 0.0, self.n or 1)
        return Estimate(self.mean, standard_error(self.spread, self.spread_kind, self.n), self.n)


class Note(BaseModel):
    """What is known of published rows that ours differ from. evidence: a command, a record, a line of the source."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rows: tuple[str, ...]
    cause: Cause
    text: str
    evidence: str


class _Ours(BaseModel):
    """The .yaml file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scenarios: dict[str, str]
    methods: dict[str, str]
    not_run: dict[str, str] = {}
    scores: dict[str, str]
    notes: list[Note] = []
    waits_for: str = ""


class Reference(_Ours):
    """The published values of a protocol. scenarios, methods, scores: our name for each of the publication's.
    not_run: published methods that we have not, with the reason. waits_for: what rows that we could run have waited for."""

    protocol: str
    rows: list[Published]

    def note(self, row: Published) -> Note | None:
        return next((note for note in self.notes if row.id in note.rows), None)

    def check(self, suite: Suite) -> None:
        """Raises SettingsError with every name that `suite` does not know, and every scenario of another setting."""
        where = f"references/{self.protocol}.yaml"
        problems = _unknown(f"{where}: scenarios", self.scenarios.values(), suite.scenarios, f"suite {suite.name}")
        problems += _unknown(f"{where}: methods", self.methods.values(), suite.methods, f"suite {suite.name}")
        for theirs, ours in self.scenarios.items():
            setting = suite.scenarios.get(ours, {}).get("setting", theirs)
            if theirs in declarations.settings() and setting != theirs:
                problems.append(f"{where}: scenarios: {ours!r} is {setting}-incremental, published is {theirs}")
        if problems:
            raise SettingsError(problems)


def load_reference(protocol: str, folder: Path = REFERENCES) -> Reference | None:
    """The published values of `protocol`; None where there are none. Raises SettingsError with all that is wrong."""
    table, ours = folder / f"{protocol}.csv", folder / f"{protocol}.yaml"
    if not table.is_file() and not ours.is_file():
        return None
    absent = [path for path in (table, ours) if not path.is_file()]
    if absent:
        raise SettingsError([f"{absent[0]} is missing: published values need both a .csv and a .yaml"])
    problems: list[str] = []
    rows = _read_rows(table, problems)
    document = _read_ours(ours, problems)
    if problems or document is None:
        raise SettingsError(problems)
    reference = Reference(protocol=protocol, rows=rows, **document.model_dump())
    problems = _inconsistencies(reference, f"{folder.name}/{ours.name}")
    if problems:
        raise SettingsError(problems)
    return reference


def _read_rows(path: Path, problems: list[str]) -> list[Published]:
    rows = []
    with path.open(newline="") as file:
        for number, fields in enumerate(csv.DictReader(file), 2):
            if None in fields:
                problems.append(
                    f"{path.parent.name}/{path.name}, line {number}: more values than columns; quote commas"
                )
                continue
            values: dict[str, Any] = {key: value or None for key, value in fields.items()}
            try:
                rows.append(Published.model_validate(values | {"note": fields.get("note") or ""}))
            except ValidationError as error:
                lines = explain(error, list(Published.model_fields))
                problems += [f"{path.parent.name}/{path.name}, line {number}: {line}" for line in lines]
    problems += [f"{path.name}: {id} stands there {n} times" for id, n in Counter(r.id for r in rows).items() if n > 1]
    return rows


def _read_ours(path: Path, problems: list[str]) -> _Ours | None:
    try:
        return _Ours.model_validate(read_yaml(path.read_text(encoding="utf-8")) or {})
    except yaml.YAMLError as error:
        problems.append(f"{path} is not YAML: {error}")
    except ValidationError as error:
        known = [*_Ours.model_fields, *Note.model_fields]
        problems += [f"{path.parent.name}/{path.name}: {line}" for line in explain(error, known)]
    return None


def _inconsistencies(reference: Reference, where: str) -> list[str]:
    """What the two files do not agree on: every row is answered or has a reason, every name is used."""
    rows = reference.rows
    published = dict.fromkeys(row.method for row in rows)
    answered = [*reference.methods, *reference.not_run]
    problems = [
        f"{where}: no method of ours for published {method!r}: name it under `methods`, or say why under `not_run`"
        for method in published
        if method not in answered
    ]
    problems += [
        f"{where}: {m!r} stands under both `methods` and `not_run`" for m in reference.methods if m in reference.not_run
    ]
    problems += _unknown(f"{where}: published method", answered, published, "the .csv")
    problems += _unknown(f"{where}: published scenario", (r.scenario for r in rows), reference.scenarios, "`scenarios`")
    problems += _unknown(f"{where}: published metric", (r.metric for r in rows), reference.scores, "`scores`")
    problems += _unknown(f"{where}: scores", reference.scores.values(), SCORES, "the scores")
    noted = [id for note in reference.notes for id in note.rows]
    problems += _unknown(f"{where}: notes", noted, [row.id for row in rows], "the .csv")
    problems += [f"{where}: {n} notes on {id}: make them one" for id, n in Counter(noted).items() if n > 1]
    return problems


def _unknown(what: str, names: Iterable[str], known: Iterable[str], place: str) -> list[str]:
    known = list(known)
    return [
        f"{what}: {name!r} is not in {place}{nearest(name, known)}"
        for name in dict.fromkeys(names)
        if name not in known
    ]
