"""What is asked for beside a cell's record: logs and trackers. Needs no torch: wrong names are refused at once."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.request.errors import SettingsError
from scenarios.nearest import nearest

if TYPE_CHECKING:
    from benchmarks.watch.tracker import Tracker

WHERE = {"tensorboard": "on_tensorboard.TensorBoard", "wandb": "on_wandb.Wandb", "mlflow": "on_mlflow.MLflow"}
"""Trackers by name, which is also that of the package that each needs: module here and class."""
GROUP = "retain.trackers"
"""Entry points by which an installed package offers trackers of its own."""


@dataclass(frozen=True)
class TrackerChoice:
    """A tracker, and the folder below which it writes."""

    name: str
    folder: Path

    def make(self) -> Tracker:
        """Imports the tracker and makes one. Raises what its import raises."""
        if self.name in WHERE:
            module, _, cls = WHERE[self.name].partition(".")
            return getattr(importlib.import_module(f"benchmarks.watch.{module}"), cls)()
        return _offered()[self.name].load()()


@dataclass(frozen=True)
class Watching:
    """logs: each cell keeps a log (benchmarks/cell/run_log.py); trackers: what is shown elsewhere."""

    logs: bool = False
    trackers: tuple[TrackerChoice, ...] = ()


QUIET = Watching()


def chosen(given: list[str] | None, results: Path) -> tuple[TrackerChoice, ...]:
    """The trackers of `NAME` or `NAME:FOLDER`, by default in `results`/tracked/NAME. Raises SettingsError with all that are
    unknown, not installed or named twice."""
    found: list[TrackerChoice] = []
    problems = []
    for text in given or []:
        name, _, folder = text.partition(":")
        known = name in WHERE or name in _offered()
        if not known:
            problems.append(f"--track {name}{nearest(name, [*WHERE, *_offered()])}")
        elif name in WHERE and not _is_installed(name):
            file = " -r requirements-track.txt" if name == "tensorboard" else f" {name}"
            problems.append(f"--track {name} needs the package {name}: pip install{file}")
        elif name in {choice.name for choice in found}:
            problems.append(f"--track {name}: named twice")
        found.append(
            TrackerChoice(name, (Path(folder).expanduser() if folder else results / "tracked" / name).resolve())
        )
    if problems:
        raise SettingsError(problems)
    return tuple(found)


def _is_installed(package: str) -> bool:
    """A folder of that name, such as wandb leaves where it runs, is no package."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def _offered() -> dict[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
