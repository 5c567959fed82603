"""Manifests: one file from which any program can train on a scenario exactly as it is here.

It has the rows of the data set that each task trains and is tested on, their labels as output columns, checksums of
their images, which outputs are active when, and the suite's protocol. JSON, or npz: the same JSON under `manifest`, with
the rows and labels as arrays beside it and, where asked for, the images. docs/other-tools.md describes both.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records.atomic_write import write_whole
from benchmarks.request.errors import SettingsError
from benchmarks.request.identity import relevant
from benchmarks.request.resolve import recipe_of
from benchmarks.request.suite import Suite, scenario_settings
from scenarios import ImageFiles, Scenario, Stream
from scenarios.scenario import Subset, Task

VERSION = 1
PARTS = ("train", "test")
DECIDING = ("manifest_version", "scenario", "setting", "seed", "settings", "data", "tasks", "evaluations", "protocol")
"""What an identity is of. How a suite is called, and what else is in it, decides nothing."""
BROKEN = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged npz or JSON raises. RuntimeError: of zipfile, and, as RecursionError, of json."""


def manifest_of(
    suite: Suite, given: str, changes: list[str] | None, stream: Stream, scenario: Scenario, seed: int
) -> dict[str, Any]:
    """The manifest of `scenario`, built of `stream` for `seed`. given, changes: how the suite was asked for."""
    layout, first = scenario.layout, scenario.tasks[0].train.images
    document: dict[str, Any] = {
        "manifest_version": VERSION,
        "identity": "",
        "suite": given,
        "changes": changes or [],
        "scenario": scenario.name,
        "setting": layout.setting.name,
        "seed": seed,
        "settings": scenario_settings(stream),
        "data": {
            "name": scenario_settings(stream)["data"],
            "checksum": scenario.manifest["data_checksum"],
            "images": "files" if isinstance(first, ImageFiles) else str(first.dtype).removeprefix("torch."),
            "shape": list(scenario.image_shape),
            "scale": scenario.normalise.scale,
            "mean": list(scenario.normalise.mean),
            "std": list(scenario.normalise.std),
        },
        "n_outputs": layout.n_outputs,
        "task_id_at_test": layout.setting.task_id_at_test,
        "protocol": recipe_of(suite),
        "methods": suite.methods,
        "tasks": [_task(scenario, task) for task in scenario.tasks],
        "evaluations": list(evaluations(scenario)),
    }
    return document | {"identity": identity(document)}


def evaluations(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """What may be predicted: the test images of a task (from 1) after so many tasks, and among which outputs."""
    n = len(scenario.tasks)
    for seen in range(n + 1):
        for task in range(n):
            if scenario.is_evaluated(seen) and scenario.layout.can_evaluate(task, seen):
                active = scenario.layout.active_at_test(task, seen).columns
                yield {"after_task": seen, "task": task + 1, "active_outputs": [active.start, active.stop]}


def identity(document: dict[str, Any]) -> str:
    """sha256 of all that decides what is to be predicted, as canonical JSON.

    As of a cell, a setting that was added later counts only where it has not its default. Raises KeyError and other
    errors of lookups for what is no manifest.
    """
    deciding = {key: document[key] for key in DECIDING}
    settings = relevant({"scenario": document["settings"], **document["protocol"]})
    deciding |= {"settings": settings.pop("scenario"), "protocol": settings}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_manifest(path: Path, document: dict[str, Any], scenario: Scenario, images: bool = False) -> Path:
    """Writes it as the ending of `path` says, .json or .npz; images: with the pixels of every task.

    Raises SettingsError for another ending, and for images that are in files or asked of JSON.
    """
    if path.suffix not in (".json", ".npz"):
        raise SettingsError([f"{path}: a manifest is written as .json or .npz"])
    if images and document["data"]["images"] == "files":
        raise SettingsError([f"--images: those of {document['data']['name']} are files; the manifest names them"])
    if images and path.suffix == ".json":
        raise SettingsError([f"{path}: images are written as arrays: call it .npz"])
    if path.suffix == ".json":
        return write_whole(path, _text(document))
    arrays: dict[str, Any] = {}
    slim = document | {"tasks": [dict(task) for task in document["tasks"]]}
    for number, task in enumerate(slim["tasks"], 1):
        for part in PARTS:
            listed = dict(task[part])
            arrays |= {f"{part}_{key}_{number}": np.asarray(listed.pop(key)) for key in ("ids", "labels")}
            task[part] = listed
            if images:
                arrays[f"{part}_images_{number}"] = _pixels(getattr(scenario.tasks[number - 1], part))
    buffer = io.BytesIO()
    np.savez(buffer, manifest=np.array(json.dumps(slim)), **arrays)
    return write_whole(path, buffer.getvalue())


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest in the file, whole. Raises SettingsError for what is none, one of another version, or edited."""
    try:
        document = _read_npz(path) if path.suffix == ".npz" else json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError([f"no manifest {path}: `manifest SUITE` writes one"]) from None
    except (*BROKEN, TypeError) as error:
        raise SettingsError([f"{path} is no manifest: {str(error) or type(error).__name__}"]) from None
    version = document.get("manifest_version") if isinstance(document, dict) else None
    if type(version) is not int or version != VERSION:
        raise SettingsError(
            [
                f"{path} is no manifest of version {VERSION} (manifest_version {version!r}): write it anew with `manifest`"
            ]
        )
    kinds = {"suite": str, "changes": list, "scenario": str, "seed": int, "identity": str}
    wrong = [key for key, kind in kinds.items() if not isinstance(document.get(key), kind)]
    wrong += [] if wrong or all(isinstance(change, str) for change in document["changes"]) else ["changes"]
    try:
        whole = not wrong and identity(document) == document["identity"]
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        whole = False
    if not whole:
        told = (
            f"{', '.join(wrong)} missing or of another kind" if wrong else "its content does not hash to its identity"
        )
        raise SettingsError([f"{path}: {told}: edited by hand? Write it anew with `manifest`"])
    return document


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """What of all that decides differs between two manifests, a text each."""
    found = []
    for key in DECIDING:
        if theirs[key] == ours[key]:
            continue
        if key in ("settings", "data", "protocol"):
            one, other = theirs[key], ours[key]
            keys = [k for k in {**one, **other} if one.get(k) != other.get(k)]
            found += [f"{key}.{k} {one.get(k)!r}, now {other.get(k)!r}" for k in keys]
        else:
            found.append(key if key in ("tasks", "evaluations") else f"{key} {theirs[key]!r}, now {ours[key]!r}")
    return found


def _task(scenario: Scenario, task: Task) -> dict[str, Any]:
    active = scenario.layout.active_in_training(task.id, task.id + 1).columns
    stop = scenario.layout.width(task.id) if active.stop is None else active.stop
    return {
        "task": task.id + 1,
        "classes": list(task.classes),
        "outputs": [task.outputs.start, task.outputs.stop],
        "active_in_training": [active.start, stop],
        "pixels": "as in the data set" if task.train.pixel_map is None else "changed for this task",
        **{part: _subset(getattr(task, part)) for part in PARTS},
    }


def _subset(subset: Subset) -> dict[str, Any]:
    found: dict[str, Any] = {"ids": subset.rows.tolist(), "labels": subset.labels.tolist()}
    if isinstance(subset.images, ImageFiles):
        files = subset.images[subset.rows]
        found["files"] = [files.path(i).relative_to(files.files.root).as_posix() for i in range(len(files))]
        return found | {"sha256": hashlib.sha256("\n".join(found["files"]).encode()).hexdigest()}
    return found | {"sha256": hashlib.sha256(_pixels(subset).tobytes()).hexdigest()}


def _pixels(subset: Subset) -> np.ndarray:
    return np.ascontiguousarray(subset.examples().images.numpy())


def _text(document: dict[str, Any]) -> str:
    """One top-level key a line, and one a task: a diff shows what changed."""
    lines = []
    for key, value in document.items():
        text = (
            "[\n" + ",\n".join(map(json.dumps, value)) + "\n]" if key in ("tasks", "evaluations") else json.dumps(value)
        )
        lines.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        document = json.loads(str(arrays["manifest"]))
        for number, task in enumerate(document["tasks"], 1):
            for part in PARTS:
                task[part] = {key: arrays[f"{part}_{key}_{number}"].tolist() for key in ("ids", "labels")} | task[part]
    return document
