"""From records to plots: SVG and PNG of every scenario, and one page of them for the suite.

matplotlib is imported by `write_plots` only, and `pyplot` never, so that a caller's own figures and settings stay
as they are.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.grid import Grid
from benchmarks.store import Scan

__all__ = ["write_plots"]


def write_plots(grid: Grid, scan: Scan, folder: Path) -> list[Path]:
    """Writes <suite>.plots.md and, beside it, <suite>.plots/<scenario>.<plot>.svg and .png; returns their paths.

    The same records give the same bytes of markdown and SVG (with the same matplotlib). A plot that has nothing to
    show is not written: the page says why. Plots in <suite>.plots/ that this suite no longer has are removed.
    """
    from benchmarks.report.plots.canvas import Canvas, plot_settings
    from benchmarks.report.plots.figures import FIGURES
    from benchmarks.report.plots.page import Picture, page
    from benchmarks.report.plots.scene import make_scenes

    name = grid.suite.name
    images = folder / f"{name}.plots"
    scenes = make_scenes(grid, scan)
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
                for ending, content in (("svg", canvas.svg()), ("png", canvas.png())):
                    written.append(_replace(images / f"{stem}.{ending}", content))
                shown.append(Picture(figure.title, figure.reading, f"{images.name}/{stem}"))
    written.append(_replace(folder / f"{name}.plots.md", page(grid.suite, scenes, pictures).encode()))
    for old in images.glob("*.*"):
        if old.suffix in (".svg", ".png") and old not in written:
            old.unlink()
    return written


def _replace(path: Path, content: bytes) -> Path:
    """A reader finds the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
