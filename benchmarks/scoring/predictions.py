"""Files of predictions that another program made: npz, csv or parquet, read whole and checked for what they are."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.request.errors import SettingsError
from benchmarks.scoring.manifest import BROKEN
from scenarios.nearest import nearest

Whole = NDArray[np.int64]
FORMATS = (".npz", ".csv", ".parquet")
NUMBERS = ("after_task", "task", "id", "prediction")
_LOGIT = re.compile(r"logit_(\d+)")


@dataclass(frozen=True)
class Predictions:
    """N of them. after_task: how many tasks were trained; id: row of the test set; task: from 1, None where not told.

    classes: int64 [N], output columns, or scores: float64 [N, outputs]; the other is None. manifest: the identity of the
    manifest that they say they answer, None where they do not say. file, sha256: of the file.
    """

    file: str
    sha256: str
    after_task: Whole
    id: Whole
    task: Whole | None
    classes: Whole | None
    scores: NDArray[np.float64] | None
    manifest: str | None

    def __len__(self) -> int:
        return len(self.id)


def read_predictions(path: Path) -> Predictions:
    """The predictions in the file. Raises SettingsError with all that is wrong with it."""
    if path.suffix not in FORMATS:
        raise SettingsError([f"{path}: predictions are read from {', '.join(FORMATS)}"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror or error}"]) from None
    try:
        columns = _npz(content) if path.suffix == ".npz" else _table(content, path.suffix)
    except ImportError:
        raise SettingsError([f"{path}: to read parquet, install pyarrow, or write .npz or .csv"]) from None
    except BROKEN as error:
        said = str(error) or type(error).__name__
        raise SettingsError([f"{path} cannot be read: {said.splitlines()[0]}"]) from None
    problems: list[str] = []
    numbers = {name: _whole(name, columns[name], problems) for name in NUMBERS if name in columns}
    scores = _scores(columns["logits"], problems) if "logits" in columns else None
    _check_columns(columns, numbers, scores, problems)
    manifest = _one_text(columns["manifest"], problems) if "manifest" in columns else None
    if problems:
        raise SettingsError([f"{path}: {problem}" for problem in problems])
    digest = hashlib.sha256(content).hexdigest()
    task, classes = numbers.get("task"), numbers.get("prediction")
    return Predictions(path.name, digest, numbers["after_task"], numbers["id"], task, classes, scores, manifest)


def _npz(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        if not hasattr(arrays, "files"):
            raise ValueError("a single array, not an npz file")
        return {name: arrays[name] for name in arrays.files}


def _table(content: bytes, kind: str) -> dict[str, Any]:
    """Columns by name; logit_0, logit_1, ... together as `logits`."""
    read = pd.read_csv if kind == ".csv" else pd.read_parquet
    frame = read(io.BytesIO(content))
    logits = sorted((int(found[1]), name) for name in map(str, frame.columns) if (found := _LOGIT.fullmatch(name)))
    columns: dict[str, Any] = {str(k): frame[k].to_numpy() for k in frame.columns if not _LOGIT.fullmatch(str(k))}
    if logits:
        if [number for number, _ in logits] != list(range(len(logits))):
            raise ValueError(
                f"logits are columns logit_0 to logit_{len(logits) - 1}, not {', '.join(n for _, n in logits)}"
            )
        columns["logits"] = frame[[name for _, name in logits]].to_numpy()
    return columns


def _check_columns(columns: Mapping[str, Any], numbers: Mapping[str, Whole], scores: Any, problems: list[str]) -> None:
    known = (*NUMBERS, "logits", "manifest")
    problems += [f"unknown column {name!r}{nearest(name, known)}" for name in columns if name not in known]
    problems += [f"column {name!r} is missing" for name in ("after_task", "id") if name not in columns]
    if ("prediction" in columns) == ("logits" in columns):
        said = "both are there" if "logits" in columns else "neither is there"
        problems.append(f"give `prediction` (output columns) or logits (of every output): {said}")
    lengths = {name: len(values) for name, values in numbers.items()}
    if scores is not None:
        lengths["logits"] = len(scores)
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {n:,}" for name, n in lengths.items())
        problems.append(f"columns of different lengths: {listed}")
    elif not any(lengths.values()):
        problems.append("no predictions")


def _whole(name: str, values: Any, problems: list[str]) -> Whole:
    """Whole numbers; those that a table with gaps made floats of count, where they are whole."""
    values = np.asarray(values)
    if values.ndim != 1:
        problems.append(f"{name} has the shape {list(values.shape)}; give one number a prediction")
        return np.zeros(len(values) if values.ndim else 0, dtype=np.int64)
    if values.dtype.kind in "iu" and (values.dtype != np.uint64 or not (values > np.iinfo(np.int64).max).any()):
        return values.astype(np.int64)
    bad = len(values)
    if values.dtype.kind == "f":
        wrong = ~(np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53))
        if not wrong.any():
            return values.astype(np.int64)
        bad = int(wrong.sum())
    problems.append(f"{name}: {bad:,} of {len(values):,} are no whole numbers (NaN, text or fractions)")
    return np.zeros(len(values), dtype=np.int64)


def _scores(values: Any, problems: list[str]) -> NDArray[np.float64]:
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        problems.append(
            f"logits are {values.dtype} of the shape {list(values.shape)}; give numbers [predictions, outputs]"
        )
        return np.zeros((len(values) if values.ndim else 0, 1))
    return values.astype(np.float64)


def _one_text(values: Any, problems: list[str]) -> str | None:
    texts = sorted({str(value) for value in np.unique(np.asarray(values).astype(str))})
    if len(texts) != 1:
        problems.append(f"manifest names {len(texts)} manifests; predictions of one are scored at a time")
    return texts[0] if texts else None
