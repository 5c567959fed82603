"""What `cost` and `run --dry-run` say."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence

from tabulate import tabulate

from benchmarks.cost.price import Priced, total_hours
from benchmarks.plain_text import spreadsheet_text
from benchmarks.records.store import RECORD_BYTES
from benchmarks.records.units import si
from benchmarks.request.grid import Grid
from scenarios.datasets import OUTLINES


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
    text = f"about {hours_text(total_hours(priced, len(devices)))} with {where}, {_si(flops, 'FLOP')} of training"
    unknown = [f"{p.cost.cell.scenario_name} {p.cost.cell.method_name}" for p in priced if p.cost.error]
    text += f"; without {', '.join(unknown)}, whose cost is not known" if unknown else ""
    cells = ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
    return f"cells: {cells}\ntime:  {text}\ndisk:  {_disk_text(priced, len(devices), logs)}"


def _disk_text(priced: Sequence[Priced], workers: int, logs: bool) -> str:
    """Room for what the run writes: a record a cell, a checkpoint a worker while it runs, all methods where logged."""
    cells = sum(p.cells for p in priced)
    text = f"up to {_si(cells * RECORD_BYTES, 'B')} of records"
    held = [p.cost.tasks[-1].held_bytes for p in priced if p.cost.tasks]
    if held:
        text += f", about {_si(max(held) * min(workers, cells), 'B')} of checkpoints while it runs"
    if logs:
        kept = sum(p.cells * sum(task.held_bytes for task in p.cost.tasks) for p in priced)
        text += f", about {_si(kept, 'B')} of logs"
    return text


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
                _si(p.cost.training),
                _si(sum(tasks[-1].stored.values())),
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
        "After the first and the last task. FLOP: 2 per multiply-add; modules only: without attention and other products of two activations.",
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


def _si(value: float, unit: str = "") -> str:
    """Four digits and a prefix: 11.22 M."""
    return si(value, unit, digits=4)


def _growth(values: Sequence[int]) -> str:
    first, last = _si(values[0]), _si(values[-1])
    return first if first == last else f"{first} → {last}"
