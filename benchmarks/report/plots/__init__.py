"""From records to plots: SVG of every scenario (PNG too where that is asked for), and one page of them for the suite.

matplotlib is imported by `write_plots` only, and `pyplot` never, so that a caller's own figures and settings stay
as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.store import Scan
from benchmarks.report.leaderboard import name_of
from benchmarks.request.grid import Grid

if TYPE_CHECKING:
    from benchmarks.report.plots.scene import Counted

__all__ = ["write_plots"]


def write_plots(grid: Grid, scan: Scan, folder: Path, counted: Counted | None = None, png: bool = False) -> list[Path]:
    """Writes <suite>.plots.md and, beside it, <suite>.plots/<scenario>.<plot>.svg, with `png` also .png; returns their
    paths.

    The same records give the same bytes of markdown and SVG (with the same matplotlib). A plot that has nothing to
    show is not written: the page says why. `counted`: of methods without records, for the plot of growth. Plots in <suite>.plots/ that this suite no longer has are removed.
    """
    from benchmarks.report.plots.canvas import Canvas, plot_settings
    from benchmarks.report.plots.figures import FIGURES
    from benchmarks.report.plots.page import Picture, page
    from benchmarks.report.plots.scene import make_scenes

    name = name_of(grid.suite)
    images = folder / f"{name}.plots"
    scenes = make_scenes(grid, scan, counted)
    written: list[Path] = []
    pictures: dict[str, list[Picture]] = {}
    with plot_settings():
        for scene in scenes:
            shown = pictures.setdefault(scene.scenario, [])
            for kind, figure in FIGURES.items():
                canvas: Canvas | None = figure.draw(scene)
                if canvas is None:
                    continue
                stem = f"{scene.scenario.replace('/', '.')}.{kind}"
                written.append(write_whole(images / f"{stem}.svg", canvas.svg()))
                if png:
                    written.append(write_whole(images / f"{stem}.png", canvas.png()))
                shown.append(Picture(figure.title, figure.reading, f"{images.name}/{stem}"))
    written.append(write_whole(folder / f"{name}.plots.md", page(grid.suite, scenes, pictures).encode()))
    for old in images.glob("*.*"):
        if old.suffix in (".svg", ".png") and old not in written:
            old.unlink()
    return written
