"""The same matrices under another tool's definitions, beside ours: `report SUITE --as TOOL`."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.records.results import Runs
from benchmarks.report.markdown import bullets, escape, pipe_table
from benchmarks.request.errors import SettingsError
from metrics import ROSETTA, SCORES, summarise
from scenarios.nearest import nearest


def check_tool(tool: str) -> None:
    """Raises SettingsError for a tool whose definitions are not known."""
    if tool not in ROSETTA:
        raise SettingsError([f"--as {tool!r}: no such tool{nearest(tool, list(ROSETTA))}"])


def as_tool(title: str, all_runs: Sequence[Runs], tool: str) -> str:
    """What `tool` would print for the records of a suite, markdown. Raises SettingsError for an unknown tool."""
    check_tool(tool)
    peer = ROSETTA[tool]
    parts = [
        f"# {escape(title)}, as {tool} would print it",
        f"The accuracy matrices of our records under the definitions of {tool}, in its unit "
        f"({'percent' if peer.scale == 100 else 'fractions'}); mean ± half width of the 95% interval over n seeds. "
        "Two runs agree in these numbers only if their matrices do.",
        bullets(map(escape, (f"how we know: {peer.verified}", *peer.notes))),
    ]
    for runs in all_runs:
        parts += [f"## {escape(runs.scenario)}", _table(runs, tool)]
    formulas = {name: f"our `{id}`: `{SCORES[id].formula}` ({SCORES[id].source})" for name, id in peer.printed.items()}
    parts += ["## Definitions", bullets(f"{escape(name)} = {formula}" for name, formula in formulas.items())]
    if peer.not_expressible:
        parts.append("Printed there, but not a function of the accuracy matrix:")
        parts.append(bullets(f"{escape(name)}: {escape(why)}" for name, why in peer.not_expressible))
    return "\n\n".join(parts) + "\n"


def _table(runs: Runs, tool: str) -> str:
    peer = ROSETTA[tool]
    rows = []
    for method in runs.roles:
        done = runs.done_frame[runs.done_frame["method"] == method]
        if done.empty:
            why = "n/a" if method in runs.impossible else "not run"
            rows.append([escape(method), why, *["" for _ in peer.printed], 0])
            continue
        digits = 2 if peer.scale == 100 else 4
        cells = [_number((peer.scale * done[id]).tolist(), digits) for id in peer.printed.values()]
        rows.append([escape(method), _number((100 * done["acc"]).tolist(), 2), *cells, len(done)])
    heads = ["method", "our ACC, %", *(f"{escape(name)} (`{id}`)" for name, id in peer.printed.items()), "n"]
    return pipe_table(rows, heads, "left", *["right"] * (len(heads) - 1))


def _number(values: Sequence[float], decimals: int) -> str:
    summary = summarise(values)
    if summary.mean != summary.mean:
        return "n/a"
    text = f"{summary.mean:.{decimals}f}"
    return text if summary.half_width != summary.half_width else f"{text} ± {summary.half_width:.{decimals}f}"
