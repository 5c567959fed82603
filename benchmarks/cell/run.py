"""One cell, from settings to record."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch

from benchmarks.cell.callbacks import Callbacks
from benchmarks.cell.checkpoint import Progress, load_checkpoint, save_checkpoint
from benchmarks.cell.environment import environment, peak_memory_bytes
from benchmarks.cell.evaluate import evaluate, evaluate_both
from benchmarks.cell.features import Extractor, prepared
from benchmarks.cell.fit import Diverged, Trainer, fit
from benchmarks.cell.matmul_backend import fast_products
from benchmarks.records.record import Counts, Flops, Memory, RunRecord, Status
from benchmarks.request.source import commits_of_cell, source_of_cell
from benchmarks.request.suite import CellSettings
from methods import Method, Phase, TaskView, method_class
from methods.core.evaluation import evaluation_mode
from methods.core.precision import resolve_precision
from metrics import AccuracyMatrix
from metrics.flops import FlopMeter, Result, count_flops
from metrics.flops import Flops as FlopCount
from models import ranks
from scenarios import Scenario, Task
from scenarios.image_files import CPU

__all__ = ["evaluate", "failed_record", "inference_flops", "run_cell", "task_view", "train_task"]


@dataclass
class Stopwatch:
    """Seconds by part of the run."""

    seconds: dict[str, float]

    @contextmanager
    def __call__(self, part: str):
        start = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - start


def train_task(
    method: Method,
    scenario: Scenario,
    task: Task,
    trainer: Trainer | None = None,
    watch: Stopwatch | None = None,
    callbacks: Callbacks | None = None,
) -> None:
    """Takes `method` through `task`: begin_task, fit for each phase, end_task."""
    trainer = trainer or Trainer()
    watch = watch or Stopwatch(defaultdict(float))
    view = task_view(scenario, task, method.sees_past_data, method.device)
    with watch("train"):
        _measured(trainer.meter, (task.id, "begin_task"), lambda: method.enter(view), "begin_task")
        for index, phase in enumerate(_phases(method, view, trainer)):
            fit(method, phase, trainer, index, callbacks)
    with watch("end_task"):
        trainer.meter.measure((task.id, "end_task"), lambda: method.end_task(view), part="end_task")
        if extra := method.extra_flops():  # of solvers in it
            trainer.meter.add("solver", extra)


def _phases(method: Method, view: TaskView, trainer: Trainer) -> Iterator[Phase]:
    """The method's phases. What it does between them, such as choosing exemplars, costs FLOPs too."""
    phases = iter(method.phases(view))
    for index in count():
        phase = _measured(trainer.meter, (view.id, index), lambda: next(phases, None), "between phases")
        if phase is None:
            return
        yield phase


def _measured(meter: FlopMeter, key: Hashable, fn: Callable[[], Result], part: str) -> Result:
    """As `FlopMeter.measure`, for a part that is listed only where it costs something: for most methods it does not."""
    result = meter.measure(key, fn, part)
    if not meter.parts[part]:
        del meter.parts[part]
    return result


def task_view(scenario: Scenario, task: Task, with_past: bool, device: torch.device = CPU) -> TaskView:
    """What the method may see of `task`: its training data, and that of earlier tasks only `with_past`.

    All of it on `device`, the method's: what a method selects from it and stores is there too.
    """
    past = tuple(task_view(scenario, t, False, device) for t in scenario.tasks[: task.id]) if with_past else ()
    return TaskView(task.id, task.outputs, task.train.examples().to(device), past)


def run_cell(
    cell: CellSettings,
    data_root: str | None = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
    callbacks: Callbacks | None = None,
) -> RunRecord:
    """Runs `cell` and returns its record. A method that raises or diverges gives a record that says so.

    checkpoint: a file that is written after each task but the last; where it is there already, of this very cell and
    code, the run continues from it. The caller removes it (`Store.remove_checkpoints`) once the record is safe, and keeps it
    where that says failed: run again, the cell goes on from its last finished task.
    callbacks: hear of its steps, epochs and tasks.
    KeyboardInterrupt and DataNotFound pass through: they are not the method's doing.
    """
    start = time.perf_counter()
    scenario = cell.scenario.build(cell.seed, data_root, cell.scenario_name)
    built = time.perf_counter() - start
    cls = method_class(cell.method.name)
    method = cls.from_settings(cell.method.settings)
    scenario, model, extractor = prepared(cell, scenario, method, torch.device(device))
    start = time.perf_counter() - built  # what computing features took is said beside the total: cells share it
    progress = load_checkpoint(checkpoint, cell, scenario, device) if checkpoint else None
    progress = progress or Progress.of_tasks(cell.scenario.tasks)
    before, resumed, watch = progress.seconds["total"], progress.done, Stopwatch(progress.seconds)
    progress.seconds["data"] += built
    status: Status = "done"
    error = None
    try:
        with fast_products(device) as products:
            if progress.method is None:
                with watch("train"):
                    progress.method = method.start(scenario, model, cell.training, cell.seed, device)
                _record_rows(progress, 0, scenario, watch)
            if callbacks:
                callbacks.start(progress)
            for task in scenario.tasks[progress.done :]:
                _do_task(progress, scenario, task, watch, callbacks, extractor)
                progress.seconds["total"] = before + time.perf_counter() - start
                if checkpoint and progress.done < len(scenario.tasks):
                    save_checkpoint(checkpoint, cell, scenario, progress, device)
    except Diverged as diverged:
        status, error = "diverged", str(diverged)
    except Exception:
        status, error = "failed", traceback.format_exc()
        if checkpoint and resumed:
            error = f"gone on after {resumed} tasks from {checkpoint.name}; without that file it starts over\n{error}"
    progress.seconds["total"] = before + time.perf_counter() - start
    if extractor:
        progress.seconds["features"] = extractor.seconds
    matrix, trainer, inference = progress.matrix, progress.trainer, progress.inference
    view = scenario.layout.other_view_name
    return RunRecord(
        **named(cell),
        status=status,
        error=error,
        matrix=Counts.of(matrix),
        matrix_other=Counts.of(progress.other) if view and not cls.needs_task_id else None,
        matrix_other_view=view if view and not cls.needs_task_id else None,
        not_evaluated=_reasons(method, scenario, matrix if status == "done" else None),
        flops=Flops(
            inference=[f.total for f in inference],
            inference_modules=[f.modules for f in inference],
            training=trainer.meter.total * ranks.world(),  # each rank counts its own
            parts={part: flops * ranks.world() for part, flops in trainer.meter.parts.items()},
        ),
        seconds={part: round(s, 4) for part, s in progress.seconds.items()},
        steps=trainer.steps,
        parameters=progress.parameters,
        memory=Memory(stored_bytes=progress.stored, peak_bytes=peak_memory_bytes(device)),
        diagnostics=progress.diagnostics if any(progress.diagnostics) else [],
        scenario_manifest=scenario.manifest,
        environment=environment(device)
        | commits_of_cell(cell)
        | ({"processes": ranks.world()} if ranks.world() > 1 else {})
        | ({"memory_format": progress.method.memory_format} if cell.training.channels_last and progress.method else {})
        | {"precision": resolve_precision(cell.training.precision, torch.device(device)), "products": products},
    )


def failed_record(cell: CellSettings, error: str, seconds: float) -> RunRecord:
    """The record of a cell that left nothing but the way it ended."""
    empty = Counts.of(AccuracyMatrix(cell.scenario.tasks))
    return RunRecord(
        **named(cell),
        status="failed",
        error=error,
        matrix=empty,
        flops=Flops(inference=[], inference_modules=[], training=0, parts={}),
        seconds={"total": round(seconds, 4)},
        steps=0,
        parameters=[],
        memory=Memory(stored_bytes=[], peak_bytes=None),
        scenario_manifest={},
        environment=environment("cpu") | commits_of_cell(cell),
    )


def named(cell: CellSettings) -> dict[str, Any]:
    """What a record says of the cell that it is of."""
    return {
        "scenario": cell.scenario_name,
        "method": cell.method_name,
        "seed": cell.seed,
        "identity": cell.identity,
        "settings": cell.identity_settings(),
        "source": source_of_cell(cell),
    }


def _do_task(
    progress: Progress,
    scenario: Scenario,
    task: Task,
    watch: Stopwatch,
    callbacks: Callbacks | None,
    extractor: Extractor | None,
) -> None:
    method = progress.method
    assert method is not None, "started before its first task"
    if extractor:  # counted as if each image were looked at when its task comes
        progress.trainer.meter.add("features", extractor.flops.total * len(task.train))
    train_task(method, scenario, task, progress.trainer, watch, callbacks)
    _record_rows(progress, task.id + 1, scenario, watch)
    progress.parameters.append(with_backbone(method.parameters_report(), extractor))
    progress.inference.append(inference_flops(method, scenario, task, extractor))
    progress.stored.append(method.footprint())
    progress.diagnostics.append(method.diagnostics())
    progress.done += 1
    if callbacks:
        callbacks.task(progress)


def with_backbone(parameters: dict[str, int], extractor: Extractor | None) -> dict[str, int]:
    """A method's parameters and, where it runs on stored features, those of the frozen backbone that gave them."""
    if extractor is None:
        return parameters
    return parameters | {part: parameters[part] + extractor.parameters for part in ("total", "frozen")}


def _record_rows(progress: Progress, i: int, scenario: Scenario, watch: Stopwatch) -> None:
    assert progress.method is not None, "started before it is evaluated"
    if not scenario.is_evaluated(i):
        for matrix in (progress.matrix, progress.other):
            matrix.record_row(i, [None] * len(scenario.tasks))
        return
    with watch("evaluate"):
        row, other_row = evaluate_both(progress.method, scenario)
    progress.matrix.record_row(i, row)
    progress.other.record_row(i, other_row)


def inference_flops(method: Method, scenario: Scenario, task: Task, extractor: Extractor | None = None) -> FlopCount:
    """FLOPs of one prediction for one image, as the network stands now, with those of the image's features."""
    x = torch.zeros(1, *scenario.image_shape, device=method.device)
    told = (task.id,) if scenario.layout.setting.task_id_at_test else ()
    with evaluation_mode(method.network), torch.no_grad(), method.precision():
        flops = count_flops(lambda: method.predict(x, *told))
    if extractor is None:
        return flops
    return FlopCount(flops.total + extractor.flops.total, flops.modules + extractor.flops.modules)


def _reasons(method: Method, scenario: Scenario, matrix: AccuracyMatrix | None) -> dict[str, str]:
    """Why scores are not available, by what is missing; `matrix`: of a run that came to its end."""
    reason = scenario.layout.forward_transfer_reason()
    name = type(method).__name__
    if reason is None and not method.answers_unseen(scenario.layout):
        reason = f"{name} has no answer for a task that it has not begun"
    reasons = {"unseen tasks": reason} if reason else {}
    rows = matrix.total[1:] if matrix is not None else []
    if scenario.eval_every > 1:
        reasons["earlier rows"] = f"methods are evaluated after every {scenario.eval_every} tasks only"
    elif any(None in row[: i + 1] for i, row in enumerate(rows)):
        reasons["earlier rows"] = f"{name} was set to give no answer before its last task"
    return reasons
