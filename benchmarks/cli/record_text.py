"""What `show` says: one record as plain text, with its matrix, curves, scores, costs, settings and origin."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.plain_text import one_line, printable
from benchmarks.records.columns import measure
from benchmarks.records.networks import network_of
from benchmarks.records.record import RunRecord
from benchmarks.records.remarks import why_absent
from benchmarks.records.results import COSTS, frame_of
from benchmarks.records.scored import scored_text
from benchmarks.records.units import unit_for
from benchmarks.report.table import HEADLINE
from benchmarks.request.keys import leaves

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "01234567"
NARROWEST = 30
ERROR_LINES = 15


def text_of(record: RunRecord, where: str, width: int = 80, ascii_only: bool = False) -> str:
    """All of it, no line longer than `width` (at least 30) but those of an error. where: its file. ascii_only: curves as
    digits from 0 (none right) to 7 (all)."""
    width = max(width, NARROWEST)
    title = [f"{record.scenario} {record.method} seed {record.seed}: {record.status}"]
    parts = [_wrapped(title, width), _wrapped([where, f"identity {record.identity[:12]}"], width)]
    if record.error:
        lines = printable(record.error).strip().splitlines()
        left_out = [f"({len(lines) - ERROR_LINES} lines before)"] if len(lines) > ERROR_LINES else []
        parts.append(["error:", *left_out, *lines[-ERROR_LINES:]])
    accuracy = record.matrix.matrix().accuracy
    if not np.isnan(accuracy).all():
        parts += [_matrix(accuracy, width), _curves(accuracy, width, ASCII_BARS if ascii_only else BARS)]
    frame = frame_of([record]).iloc[0]
    parts += [_scores(record, frame, width), _costs(record, frame, width), _settings(record, width)]
    parts.append(_origin(record, width))
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _matrix(accuracy: NDArray[np.float64], width: int) -> list[str]:
    """Percent: a row after each task, a column a task, and the mean over the tasks so far."""
    n = accuracy.shape[1]
    head = len(f"after {n}")
    for digits in (1, 0):  # "100.0" and "100"
        size = (6 if digits else 4) if n < 1000 else 5
        room = (width - head - 8) // size
        if room >= n:
            break
    shown = _evenly(n, max(2, room))
    lines = [" " * head + "".join(f"{j + 1:>{size}}" for j in shown) + f"{'mean':>8}"]
    for i in [0, *(j + 1 for j in _evenly(n, 40))]:
        row = "".join(_percent(accuracy[i, j], digits, size) for j in shown)
        name = f"after {i}" if i else "before"
        mean = float(np.mean(accuracy[i, :i])) if i else math.nan
        lines.append(f"{name:<{head}}{row}{_percent(mean, 1, 8)}".rstrip())
    some = f"; {len(shown)} of {n} columns" if len(shown) < n else ""
    some += f"; {min(n, 40)} of {n} rows" if n > 40 else ""
    return [*_wrapped([f"accuracy on each task, %, and the mean of those trained{some}"], width), *lines]


def _percent(value: float, digits: int, size: int) -> str:
    return f"{'-' if math.isnan(value) else f'{100 * value:.{digits}f}':>{size}}"


def _curves(accuracy: NDArray[np.float64], width: int, bars: str) -> list[str]:
    """How the accuracy on each task goes on from when it was trained, and the mean on the tasks so far."""
    n = accuracy.shape[1]
    head = len(f"task {n}") + 2
    room = max(2, width - head - 16)
    lines = []
    rows = [(f"task {j + 1}", accuracy[j + 1 :, j], j) for j in _evenly(n, 40)]
    rows.append(("mean", np.array([accuracy[i, :i].mean() for i in range(1, n + 1)]), 0))
    for name, values, begin in rows:
        picked = _evenly(n, room)
        line = "".join(_bar(values[k - begin], bars) if k >= begin else " " for k in picked)
        ends = values[~np.isnan(values)]
        said = f"{100 * ends[0]:.1f} to {100 * ends[-1]:.1f}" if ends.size else "-"
        lines.append(f"{name:<{head}}{line}  {said:>14}")
    return [*_wrapped(["accuracy after each task, from 0 to 100%; when trained, and at the end"], width), *lines]


def _bar(value: float, bars: str) -> str:
    return "." if math.isnan(value) else bars[min(len(bars) - 1, int(value * len(bars)))]


def _evenly(n: int, most: int) -> list[int]:
    """0 to n - 1 or, of more than `most`, so many of them, the first and the last included."""
    return list(range(n)) if n <= most else sorted({round(k * (n - 1) / (most - 1)) for k in range(most)})


def _scores(record: RunRecord, frame: pd.Series, width: int) -> list[str]:
    if record.status != "done":
        return []
    said, absent = [], []
    for id in HEADLINE:
        about = measure(id)
        if math.isnan(frame[id]):
            absent.append(f"n/a {about.label}: {why_absent(id, record) or 'n/a'}")
        else:
            said.append(f"{about.label} {_number(id, frame[id])}")
    return [*_wrapped([f"scores: {', '.join(said)}"], width), *_wrapped(absent, width, "  ")]


def _costs(record: RunRecord, frame: pd.Series, width: int) -> list[str]:
    said = [f"{measure(id).label} {_number(id, frame[id])}" for id in COSTS if not math.isnan(frame[id])]
    if record.parameters:
        last = record.parameters[-1]
        trainable = f" ({last['trainable']:,} trainable)" if "trainable" in last else ""
        said.append(f"parameters {last['total']:,}{trainable}")
    stored = record.memory.stored_bytes[-1] if record.memory.stored_bytes else {}
    said += [f"{part} {_amount('bytes', size)}" for part, size in stored.items()]
    if record.memory.peak_bytes is not None:
        said.append(f"peak {_amount('bytes', record.memory.peak_bytes)}")
    if record.steps is not None:
        said.append(f"{record.steps:,} steps")
    seconds = [f"{part} {value:.1f}" for part, value in record.seconds.items()]
    flops = [f"{part} {_amount('flops', value)}" for part, value in record.flops.parts.items()]
    parts = {"costs": said, "seconds": seconds, "training": flops}
    return _wrapped([f"{name}: {', '.join(values)}" for name, values in parts.items() if values], width)


def _number(id: str, value: float) -> str:
    return _amount(measure(id).kind, value)


def _amount(kind: Any, value: float) -> str:
    unit = unit_for(kind, [value])
    shown = f"{value * unit.factor:.2f}" if kind in ("fraction", "difference") else f"{value * unit.factor:.4g}"
    return f"{shown} {unit.text}"


def _settings(record: RunRecord, width: int) -> list[str]:
    settings = record.settings
    lines = [f"network: {network_of(settings).text}"]
    for part, values in settings.items():
        if isinstance(values, Mapping):
            lines.append(f"{part}: {', '.join(f'{key} = {_told(value)}' for key, value in leaves(values))}")
    return ["settings", *_wrapped(lines, width, "  ")]


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _origin(record: RunRecord, width: int) -> list[str]:
    lines = [f"{key}: {_told(value)}" for key, value in leaves(record.environment)]
    lines.append(f"source: {_source(record)}" if record.scored is None else scored_text([record]))
    if record.scored is not None:
        lines.append(
            f"predictions: {record.scored.file}, sha256 {record.scored.sha256}, manifest {record.scored.manifest}"
        )
    return ["made with", *_wrapped(lines, width, "  ")]


def _source(record: RunRecord) -> str:
    """Whether today's code is that which made it."""
    if not record.source:
        return "not recorded"
    from benchmarks.records.provenance import changes_of
    from benchmarks.request.source import source_of

    settings = record.settings
    try:
        backbone = str(settings["model"]["backbone"])
        now = source_of(settings["method"]["name"], settings["scenario"]["stream"], backbone)
    except (KeyError, ValueError, SystemError):
        return f"{len(record.source)} files; its method, stream or network is none of today's; one of a plug-in is named with --include FILE_OR_MODULE"
    changed = sorted({file for file, *_ in changes_of(record.source, now)})
    if not changed:
        return f"{len(record.source)} files, as they are today"
    return f"{len(record.source)} files, of which these differ today: {', '.join(changed)}"


def _wrapped(lines: list[str], width: int, indent: str = "") -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            one_line(line), width, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
        )
    ]
