"""The files of a suite: markdown, csv, LaTeX and the comparison; and the terminal's text, all of the same tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.results import results_of
from benchmarks.records.store import Scan
from benchmarks.report.comparison import comparison
from benchmarks.report.csv_ import csv_text
from benchmarks.report.latex import latex
from benchmarks.report.leaderboard import Leaderboard, make_leaderboard, name_of, title_of
from benchmarks.report.markdown import markdown
from benchmarks.report.peers import as_tool
from benchmarks.report.terminal import terminal
from benchmarks.request.grid import Grid


@dataclass(frozen=True)
class Report:
    """What was written: `text` is for the terminal; `board` holds the tables as data."""

    board: Leaderboard
    text: str
    markdown: Path
    csv: Path
    latex: Path
    comparison: Path


def write_report(grid: Grid, scan: Scan, folder: Path, metrics: list[str] | None = None) -> Report:
    """Writes <suite>.md, .csv, .tex and .comparison.md into `folder`, the same bytes for the same records.

    `metrics`: ids of scores (and costs) to show instead of the usual columns.
    Raises SettingsError that names every unknown id; nothing is written then.
    """
    results = results_of(grid, scan)
    board = make_leaderboard(results, metrics)
    files = {
        ".md": markdown(board),
        ".csv": csv_text(board),
        ".tex": latex(board),
        ".comparison.md": comparison(board.title, results.runs),
    }
    paths = {ending: folder / f"{board.name}{ending}" for ending in files}
    for ending, text in files.items():
        write_whole(paths[ending], text)
    return Report(board, terminal(board), paths[".md"], paths[".csv"], paths[".tex"], paths[".comparison.md"])


def write_as_tool(grid: Grid, scan: Scan, folder: Path, tool: str) -> Path:
    """Writes <suite>.as-<tool>.md: the records under another tool's definitions. Raises SettingsError for an unknown one."""
    path = folder / f"{name_of(grid.suite)}.as-{tool}.md"
    write_whole(path, as_tool(title_of(grid.suite), results_of(grid, scan).runs, tool))
    return path
