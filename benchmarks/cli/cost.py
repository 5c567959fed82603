"""What `cost`, `run --dry-run` and the question before a long run say."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tabulate import tabulate

from benchmarks.cost.count import CellCost, cost_of, growth_of
from benchmarks.cost.seconds import StepTimer
from benchmarks.plain_text import spreadsheet_text
from benchmarks.records.matching import records_of
from benchmarks.records.store import RECORD_BYTES, Scan
from benchmarks.report.units import PREFIXES
from benchmarks.request.grid import Grid
from benchmarks.request.suite import CellSettings, SettingsError
from metrics.flops import count_flops
from models import ModelSettings, build_network
from scenarios.datasets import OUTLINES, in_files, outline
from scenarios.nearest import nearest

ASK_ABOVE_HOURS = 12.0
"""A run on processors that is estimated to take longer wants --yes."""
WORTH_A_LOOK = 1.0
"""Hours by the rough count, above which the estimate is made at all."""
FAST_CORE = 1e11
"""FLOP/s of one core in the rough count: more than most have, so that it is rather too short."""

FORMATS = ("table", "csv")

Say = Callable[[str], object]


@dataclass(frozen=True)
class Priced:
    """A scenario and method: what a cell costs, the seconds of one, and how many of them (seeds) there are."""

    cost: CellCost
    seconds: float
    cells: int


def price(cells: Sequence[CellSettings], timer: StepTimer, say: Say) -> list[Priced]:
    """Counts and measures one cell of each scenario and method of `cells`; `say` hears which."""
    pairs: dict[tuple[str, str], list[CellSettings]] = {}
    for cell in cells:
        pairs.setdefault((cell.scenario_name, cell.method_name), []).append(cell)
    found = []
    for n, ((scenario, method), own) in enumerate(pairs.items(), 1):
        say(f"[{n}/{len(pairs)}] {scenario} {method}")
        cost = cost_of(own[0], timer.data_root)
        found.append(Priced(cost, timer.seconds(cost), len(own)))
    return found


def count_growth(grid: Grid, scan: Scan, data_root: str | None, say: Say) -> dict[tuple[str, str], np.ndarray]:
    """FLOPs of one prediction after each task, [T], of every scenario and method of `grid` that has no good record.

    Only class-incremental scenarios: elsewhere tasks bring no classes. What cannot be counted is left out, and said.
    """
    known = {(r.scenario, r.method) for r in records_of(grid, scan) if r.status == "done"}
    found: dict[tuple[str, str], np.ndarray] = {}
    for cell in grid.cells:
        pair = cell.scenario_name, cell.method_name
        if pair in known or pair in found or cell.scenario.setting != "class":
            continue
        say(f"counting {' '.join(pair)}")
        try:
            found[pair] = np.array([size.inference.total for size in growth_of(cell, data_root)], dtype=float)
        except RuntimeError as error:
            say(f"not counted: {error}")
    return found


def total_hours(priced: Sequence[Priced], workers: int) -> float:
    """Wall time with `workers` at work: never less than the longest cell. Leaves out what is not known."""
    known = [p for p in priced if not math.isnan(p.seconds)]
    every = sum(p.seconds * p.cells for p in known)
    return max([every / workers, *(p.seconds for p in known)], default=0.0) / 3600


def hours_text(hours: float) -> str:
    """A time as one would say it: 12 s, 5 min, 3.4 h."""
    if math.isnan(hours):
        return "?"
    seconds = hours * 3600
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{hours:.1f} h"


def dry_run_text(
    priced: Sequence[Priced], devices: Sequence[str], counts: Mapping[str, int], logs: bool = False
) -> str:
    """The sum of what is to run: cells by state, time, FLOPs and room on the disk. counts: cells in each state."""
    where = f"{len(devices)} worker{'s' if len(devices) > 1 else ''} on {'GPU' if 'cuda' in devices[0] else 'CPU'}"
    flops = sum(p.cost.training * p.cells for p in priced)
    text = f"about {hours_text(total_hours(priced, len(devices)))} with {where}, {si(flops)}FLOP of training"
    unknown = [f"{p.cost.cell.scenario_name} {p.cost.cell.method_name}" for p in priced if p.cost.error]
    text += f"; without {', '.join(unknown)}, whose cost is not known" if unknown else ""
    cells = ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
    return f"cells: {cells}\ntime:  {text}\ndisk:  {_disk_text(priced, len(devices), logs)}"


def _disk_text(priced: Sequence[Priced], workers: int, logs: bool) -> str:
    """Room for what the run writes: a record a cell, a checkpoint a worker while it runs, all methods where logged."""
    cells = sum(p.cells for p in priced)
    text = f"up to {si(cells * RECORD_BYTES)}B of records"
    held = [p.cost.tasks[-1].held_bytes for p in priced if p.cost.tasks]
    if held:
        text += f", about {si(max(held) * min(workers, cells))}B of checkpoints while it runs"
    if logs:
        kept = sum(p.cells * sum(task.held_bytes for task in p.cost.tasks) for p in priced)
        text += f", about {si(kept)}B of logs"
    return text


def check_format(name: str) -> None:
    """Raises SettingsError for a form in which costs are not written."""
    if name not in FORMATS:
        raise SettingsError([f"--format {name}{nearest(name, FORMATS)}"])


def check_affordable(cells: Sequence[CellSettings], devices: Sequence[str], data_root: str | None, say: Say) -> None:
    """Raises SettingsError where `cells` would keep these processors busy for more than ASK_ABOVE_HOURS."""
    if any("cuda" in device for device in devices):
        return
    workers = min(len(devices), len(cells))
    rough = rough_hours(cells, workers, data_root)
    if rough < WORTH_A_LOOK:
        return
    say("a long run: estimating")
    if rough > ASK_ABOVE_HOURS:  # too long in any case: one cell says how far the rough count is off
        one = cells[:1]
        measured = total_hours(price(one, StepTimer("cpu", data_root=data_root), say), 1)
        hours = rough * max(1.0, measured / rough_hours(one, 1, data_root))
    else:
        hours = total_hours(price(cells, StepTimer("cpu", data_root=data_root), say), workers)
    if hours > ASK_ABOVE_HOURS:
        raise SettingsError([too_long(hours, len(cells), len(devices), torch.cuda.device_count())])


def too_long(hours: float, cells: int, workers: int, gpus: int) -> str:
    """What to tell who started a run on processors that needs a GPU."""
    found = (
        f"this machine has {gpus} that --gpus (make: GPUS=0,1) can name" if gpus else "there is none on this machine"
    )
    return (
        f"{cells} cells need about {hours:,.0f} hours on CPU with {workers} worker{'s' if workers > 1 else ''}; they are "
        f"meant for a GPU, and {found}. To run them on CPU all the same: --yes (make: YES=1)"
    )


def rough_hours(cells: Sequence[CellSettings], workers: int, data_root: str | None = None) -> float:
    """A quick count of the plain network's training steps on fast cores: a lower bound to tell minutes from days.

    Data whose size is not known counts nothing.
    """
    per_image: dict[tuple, int] = {}
    features: dict[tuple, int] = {}
    flops = 0.0
    for cell in cells:
        stream = cell.scenario
        if stream.data not in OUTLINES and stream.data != "digits":
            continue
        facts = outline(stream.data, data_root)
        shape = facts.image_shape
        if in_files(stream.data) and stream.transform is not None:
            shape = (3, stream.transform.image_size, stream.transform.image_size)
        key = (cell.model.model_dump_json(), shape)
        if key not in per_image:
            per_image[key] = _forward_flops(cell.model, shape)
        recipe = cell.training
        if getattr(cell.model, "frozen", False) and not recipe.augmentation:
            features[key, stream.data] = per_image[key] * (sum(facts.train) + sum(facts.test))  # once, for all cells
            continue
        images = sum(facts.train) if stream.samples_per_task is None else stream.samples_per_task * stream.tasks
        passes = images * (recipe.epochs or 0) + (recipe.steps or 0) * recipe.batch_size * stream.tasks
        flops += 3 * per_image[key] * passes * recipe.schedule_scale
    flops += sum(features.values())
    return flops / (FAST_CORE * workers) / 3600


def _forward_flops(model: ModelSettings, shape: tuple[int, int, int]) -> int:
    try:
        network = build_network(model.without_weights(), shape, "shared", [10], 10).eval()
    except ValueError:
        return 0  # images that it cannot take: the rehearsal says so
    with torch.no_grad():
        return count_flops(network, torch.zeros(1, *shape)).total


def table(priced: Sequence[Priced], grid: Grid) -> str:
    """A row a scenario and method, as markdown that reads well in a terminal."""
    lines = []
    for p in priced:
        cell, tasks = p.cost.cell, p.cost.tasks
        name = [cell.scenario_name, cell.method_name]
        if p.cost.error is not None or not tasks:
            lines.append([*name, *["?"] * 6])
            continue
        lines.append(
            [
                *name,
                _growth([t.parameters["total"] for t in tasks]),
                _growth([t.inference.total for t in tasks]),
                _growth([t.inference.modules for t in tasks]),
                si(p.cost.training),
                si(sum(tasks[-1].stored.values())),
                hours_text(p.seconds / 3600),
            ]
        )
    heads = [
        "scenario",
        "method",
        "parameters",
        "FLOP/image",
        "modules only",
        "training FLOP",
        "stored B",
        "time",
    ]
    text = tabulate(lines, heads, tablefmt="github", disable_numparse=True, colalign=("left", "left", *["right"] * 6))
    notes = [
        "After the first and the last task. FLOP: 2 per multiply-add; modules only: without products of two activations.",
        "Stored: what the method keeps beside its network after the last task, counted with its memory full.",
        "Time: of one seed on one worker of this machine, from a few measured steps, without reading data.",
    ]
    notes += [f"{s}: n/a for {m}: {why}" for (s, m), why in grid.impossible.items()]
    notes += [f"{p.cost.cell.scenario_name} {p.cost.cell.method_name}: {p.cost.error}" for p in priced if p.cost.error]
    for data in dict.fromkeys(p.cost.cell.scenario.data for p in priced):
        if data in OUTLINES and OUTLINES[data].about:
            notes.append(f"{data}: {OUTLINES[data].about} are counted, at the bytes of decoded pixels.")
    return "\n".join([text, "", *notes])


COLUMNS = (
    "scenario",
    "method",
    "task",
    "steps",
    "parameters",
    "inference_flops",
    "inference_flops_modules",
    "training_flops",
    "stored_bytes",
    "hours",
)


def as_csv(priced: Sequence[Priced]) -> str:
    """A row a scenario, method and task (from 1), and one with task "all": the end's parameters, FLOPs and bytes of
    inference and memory, the sums of steps and training FLOPs, and the hours of one seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for p in priced:
        names = [spreadsheet_text(name) for name in (p.cost.cell.scenario_name, p.cost.cell.method_name)]
        state: list = ["", "", "", ""]
        for t in p.cost.tasks:
            kept, inference = sum(t.stored.values()), t.inference
            writer.writerow(
                [
                    *names,
                    t.task + 1,
                    t.steps,
                    t.parameters["total"],
                    inference.total,
                    inference.modules,
                    t.training,
                    kept,
                    "",
                ]
            )
            state = [t.parameters["total"], inference.total, inference.modules, kept]
        hours = "" if math.isnan(p.seconds) else f"{p.seconds / 3600:.5g}"
        if p.cost.error is None:
            writer.writerow([*names, "all", p.cost.steps, *state[:3], p.cost.training, state[3], hours])
    return text.getvalue()


def si(value: float) -> str:
    """Four digits and a prefix: 11.22 M."""
    size = max((step for step in PREFIXES if step <= value), default=1)
    return f"{value / size:.4g} {PREFIXES[size]}"


def _growth(values: Sequence[int]) -> str:
    first, last = si(values[0]).strip(), si(values[-1]).strip()
    return first if first == last else f"{first} → {last}"
