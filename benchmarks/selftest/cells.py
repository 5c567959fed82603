"""The small cells that a device is tried with: real digits, two tasks, every method."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import torch

from benchmarks.cell.callbacks import Callbacks, Epoch
from benchmarks.cell.run import run_cell
from benchmarks.contract.trial import SMALL_VIT
from benchmarks.records.record import RunRecord
from benchmarks.request.suite import CellSettings, MethodSettings, Resolved
from benchmarks.wording import last_line
from methods import METHODS, OptimizerSettings, Recipe
from methods.core.compiled import Compile
from models import model_settings
from scenarios import Scenario, Split

SMALL = {"buffer_size": 20, "generator_units": 32, "random_features": 50, "pool": 6} | {
    f"{stage}_epochs": 1 for stage in ("finetune", "correction", "compression")
}
"""Settings of methods that keep their cells short, where they have them."""
SMALL_TRANSFORMER = {"dim": 24, "heads": 3, "depth": 1, "patch": 4, "drop_path": 0.0}
"""Of networks that only some methods train; nothing is dropped at random, which devices would do differently."""
TASKS = 2


def cell_of(name: str, precision: str = "fp32", compiled: Compile = False) -> CellSettings:
    """A cell of method `name` on two tasks of two digits, by a residual network (or the method's own)."""
    known = METHODS[name]().hyperparameters()
    method = METHODS[name].from_settings({key: value for key, value in SMALL.items() if key in known})
    setting = next(s for s in ("class", "task", "domain") if METHODS[name].incompatibility(_scenario(s).layout) is None)
    convolutional = "resnet18" in METHODS[name].backbones
    optimizer = OptimizerSettings(lr=0.01) if convolutional else OptimizerSettings(name="adamw", lr=1e-3)
    network: dict[str, Any] = {"backbone": "resnet18", "width": 0.0625}
    if not convolutional:
        kind = METHODS[name].backbones[0]
        network = {"backbone": kind} | (SMALL_TRANSFORMER if kind.endswith("transformer") else {})
        network = SMALL_VIT if kind == "timm" else network
    resolved = Resolved.of(
        _stream(setting),
        MethodSettings(name=name, version=METHODS[name].version, settings=method.hyperparameters()),
        model_settings(network),
        Recipe.model_validate(
            {"epochs": 2, "batch_size": 20, "optimizer": optimizer, "precision": precision, "compile": compiled}
        ),
    )
    return CellSettings(f"split-digits/{setting}", name, resolved, seed=0)


def _stream(setting: str) -> Split:
    return Split.model_validate(
        {"data": "digits", "setting": setting, "tasks": TASKS, "class_order": (0, 1, 2, 3), "samples_per_task": 60}
    )


@lru_cache
def _scenario(setting: str) -> Scenario:
    return _stream(setting).build(0)


class Interrupted(RuntimeError):
    """A run that is stopped on purpose."""


@dataclass
class Losses(Callbacks):
    """Keeps the mean loss of every epoch, and stops the run when task `stop` (from 1) begins to train."""

    stop: int | None = None
    values: list[float] = field(default_factory=list)

    def epoch(self, epoch: Epoch) -> None:
        if epoch.task == self.stop:
            raise Interrupted(f"stopped in task {self.stop}")
        self.values.append(epoch.loss)


@cache
def outcome(
    name: str, device: str, precision: str = "fp32", compiled: Compile = False
) -> tuple[RunRecord, list[float]]:
    """`run_anew`, once for each cell and device."""
    return run_anew(name, device, precision, compiled)


def run_anew(
    name: str, device: str, precision: str = "fp32", compiled: Compile = False
) -> tuple[RunRecord, list[float]]:
    """The record of the cell on `device`, and the loss of each of its epochs. Raises RuntimeError where it failed."""
    losses = Losses()
    record = run_cell(cell_of(name, precision, compiled), device=device, callbacks=losses)
    return done(record), losses.values


def done(record: RunRecord) -> RunRecord:
    """`record`; RuntimeError with the last line of its error where it is of no finished run."""
    if record.status != "done":
        raise RuntimeError(f"{record.status}: {last_line(record.error)}")
    return record


def differences(one: RunRecord, other: RunRecord, images: float) -> list[str]:
    """What two records of one cell have different: counts of any kind, and more than a share `images` of a task's
    answers."""
    found = [
        f"{name} {a} and {b}"
        for name, a, b in (
            ("steps", one.steps, other.steps),
            ("training FLOPs", one.flops.parts, other.flops.parts),
            ("inference FLOPs", one.flops.inference, other.flops.inference),
            ("parameters", one.parameters, other.parameters),
            ("stored bytes", one.memory.stored_bytes, other.memory.stored_bytes),
            ("test images", one.matrix.total, other.matrix.total),
        )
        if a != b
    ]
    for i, (row, others) in enumerate(zip(one.matrix.correct, other.matrix.correct, strict=True)):
        for j, (a, b) in enumerate(zip(row, others, strict=True)):
            n = one.matrix.total[i][j]
            if n and a is not None and b is not None and abs(a - b) > images * n:
                found.append(f"row {i}, task {j}: {a} and {b} of {n} right")
    return found


def furthest(losses: list[float], others: list[float]) -> float:
    """The largest difference of two runs' losses, as a share of the largest loss. Raises RuntimeError where one has more."""
    if len(losses) != len(others):
        raise RuntimeError(f"{len(losses)} epochs and {len(others)}")
    pairs = torch.tensor([losses, others], dtype=torch.float64)
    return float((pairs[0] - pairs[1]).abs().max() / pairs.abs().max())
