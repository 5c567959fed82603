"""What is asked of a device. A check takes (subject, device, quick) and says what it found, or raises why it failed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cell.environment import reset_peak_memory
from benchmarks.cell.run import run_cell
from benchmarks.selftest.cells import Interrupted, Losses, cell_of, differences, done, furthest, outcome, run_anew
from benchmarks.selftest.ranks import together
from benchmarks.selftest.throughput import throughput
from methods import METHODS
from methods.core.compiled import Compile

EQUAL_LOSS, EQUAL_IMAGES = 0.02, 0.1
"""fp32 of two devices: rounding alone, grown through a dozen steps; batch normalisation over 20 images grows it."""
COMPILED_LOSS = 0.1
"""Compiled against plain: equal to 3e-7 in the first epoch, up to 3 % apart in the fourth on one processor."""
HALF_LOSS = 0.2
"""bf16 and fp16 against fp32: products of 8 and 11 bits."""
TRAINING_OTHERWISE = ("finetune", "podnet", "foster", "dytox", "dne")
"""Methods whose steps go other ways through the network: those tried with torch.compile, which takes its time."""
TOGETHER = ("finetune", "er", "dytox")


@dataclass
class Row:
    """One check. passed: None where it was left out; said: what was found, or why it failed."""

    check: str
    subject: str
    passed: bool | None
    said: str
    figures: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return asdict(self)


Found = tuple[str, dict[str, float]]
Check = Callable[[str, str, bool], Found]


class Failed(RuntimeError):
    """What a check found is not what it should be."""


class LeftOut(RuntimeError):
    """There is nothing here to check it on."""


def as_the_processor(name: str, device: str, quick: bool) -> Found:
    """The record in fp32 is the processor's, but for rounding; on the processor, that of a second run."""
    reset_peak_memory(device)
    record, losses = outcome(name, device)
    expected, expected_losses = run_anew(name, "cpu")
    furthest_loss = furthest(losses, expected_losses)
    different = differences(record, expected, EQUAL_IMAGES)
    if furthest_loss > EQUAL_LOSS:
        different.append(f"losses differ by {furthest_loss:.1%}")
    if different:
        raise Failed("; ".join(different))
    figures = {"loss_difference": furthest_loss, "peak_bytes": float(record.memory.peak_bytes or 0)}
    return f"losses within {furthest_loss:.1e}", figures | {"train_seconds": record.seconds["train"]}


def in_half_precision(precision: str) -> Check:
    def check(name: str, device: str, quick: bool) -> Found:
        try:
            record, losses = outcome(name, device, precision)
        except RuntimeError as error:
            if precision == "fp16" and "cannot train in fp16" in str(error):
                return "refused: " + str(error).partition("fp16, ")[2], {}
            raise
        return _near_fp32(name, device, record, losses, HALF_LOSS)

    return check


def compiled(how: Compile) -> Check:
    """Through torch.compile, which must have made graphs."""

    def check(name: str, device: str, quick: bool) -> Found:
        from torch._dynamo.utils import counters

        before = counters["stats"]["unique_graphs"]
        record, losses = outcome(name, device, compiled=how)
        graphs = counters["stats"]["unique_graphs"] - before
        if not graphs:
            raise Failed("nothing was compiled")
        said, figures = _near_fp32(name, device, record, losses, COMPILED_LOSS)
        return f"{said}, {graphs} graphs", figures | {"graphs": float(graphs)}

    return check


def _near_fp32(name: str, device: str, record: Any, losses: list[float], allowed: float) -> Found:
    plain, plain_losses = outcome(name, device)
    difference = furthest(losses, plain_losses)
    if record.steps != plain.steps:
        raise Failed(f"{record.steps} steps, in fp32 {plain.steps}")
    if difference > allowed:
        raise Failed(f"losses differ from fp32's by {difference:.1%}")
    return f"losses within {difference:.1e} of fp32's", {"loss_difference": difference}


def resumed(name: str, device: str, quick: bool) -> Found:
    """Stopped in its second task, the cell goes on from its checkpoint and ends as it would have."""
    whole, _ = outcome(name, device)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "cell.pt"
        stopped = run_cell(cell_of(name), device=device, checkpoint=checkpoint, callbacks=Losses(stop=2))
        if Interrupted.__name__ not in (stopped.error or "") or not checkpoint.exists():
            raise Failed(f"could not be stopped after a task: {stopped.status}, {stopped.error}")
        record = done(run_cell(cell_of(name), device=device, checkpoint=checkpoint))
    different = differences(record, whole, 0.0 if device == "cpu" else EQUAL_IMAGES)
    if different:
        raise Failed("; ".join(different))
    return "goes on from its checkpoint and ends equal", {}


def on_two_processes(name: str, device: str, quick: bool) -> Found:
    """Two ranks (NCCL on two cards, gloo on the processor) train as one."""
    if device != "cpu":
        import torch

        if torch.cuda.device_count() < 2:
            raise LeftOut("one card alone: two are needed")
    record, whole = together(name, device), outcome(name, device)[0]
    different = [d for d in differences(record, whole, EQUAL_IMAGES) if "FLOPs" not in d]
    if different:
        raise Failed("; ".join(different))
    return f"as one process, {record.environment['processes']} ranks", {}


CHECKS: dict[str, Check] = {
    "fp32": as_the_processor,
    "bf16": in_half_precision("bf16"),
    "fp16": in_half_precision("fp16"),
    "compile": compiled(True),
    "CUDA graphs": compiled("reduce-overhead"),
    "resume": resumed,
    "two processes": on_two_processes,
    "throughput": throughput,
}


def plan(quick: bool) -> list[tuple[str, str]]:
    """(check, subject) in order. quick: a few methods, and nothing that a compiler or a second process takes part in."""
    some = ("finetune", "er", "podnet", "dytox")
    names = some if quick else tuple(METHODS)
    found = [("fp32", name) for name in names]
    found += [(form, name) for form in ("bf16", "fp16") for name in (("finetune", "si") if quick else names)]
    found += [("resume", name) for name in (("er",) if quick else names)]
    if not quick:
        found += [(how, name) for how in ("compile", "CUDA graphs") for name in TRAINING_OTHERWISE]
        found += [("two processes", name) for name in TOGETHER]
    return found + [("throughput", "resnet18")]


def perform(check: str, subject: str, device: str, quick: bool) -> Row:
    """The row of one check; whatever it raises becomes the row's reason."""
    try:
        said, figures = CHECKS[check](subject, device, quick)
        return Row(check, subject, True, said, figures)
    except LeftOut as reason:
        return Row(check, subject, None, str(reason))
    except Exception as error:
        kind = "" if type(error) in (Failed, RuntimeError) else f"{type(error).__name__}: "
        return Row(check, subject, False, kind + " ".join(str(error).split())[:300])
