"""From records to plots: SVG of every scenario (PNG too where that is asked for), and one page of them for the suite.

matplotlib is imported by `write_plots` only, and `pyplot` never, so that a caller's own figures and settings stay
as they are.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.store import Scan
from benchmarks.report.leaderboard import name_of
from benchmarks.report.plots import figures
from benchmarks.report.plots.scene import Counted, make_scenes
from benchmarks.request.grid import Grid


def write_plots(grid: Grid, scan: Scan, folder: Path, counted: Counted | None = None, png: bool = False) -> list[Path]:
    """Writes <suite>.plots.md and, beside it, <suite>.plots/<scenario>.<plot>.svg, with `png` also .png; returns their
    paths.

    The same records give the same bytes of markdown and SVG (with the same matplotlib). A plot that has nothing to
    show is not written: the page says why. `counted`: of methods without records, for the plot of growth. Plots in <suite>.plots/ that this suite no longer has are removed.
    """
    from benchmarks.report.plots.canvas import plot_settings

    name = name_of(grid.suite)
    images = folder / f"{name}.plots"
    scenes = make_scenes(grid, scan, counted)
    written: list[Path] = []
    with plot_settings():
        for scene in scenes:
            for kind in figures.FIGURES:
                canvas = import_module(f"benchmarks.report.plots.{kind}").draw(scene)
                if canvas is None:
                    continue
                path = images / figures.file_name(scene.scenario, kind)
                written.append(write_whole(path, canvas.svg()))
                if png:
                    written.append(write_whole(path.with_suffix(".png"), canvas.png()))
    for old in images.glob("*.*"):
        if old.suffix in (".svg", ".png") and old not in written:
            old.unlink()
    return [*written, write_whole(folder / f"{name}.plots.md", figures.page(grid.suite, scenes, folder).encode())]
