"""Evidence: checked records and their tables, moved where they are committed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.records.atomic_write import written_folder
from benchmarks.records.publishable import TRIALS, WHOLE, Allowed, publishable
from benchmarks.records.published import PublishedStore
from benchmarks.records.store import Scan
from benchmarks.report.plots import write_plots
from benchmarks.report.write import write_report
from benchmarks.request.grid import Grid
from benchmarks.request.names import check_name


def publish_suite(grid: Grid, scan: Scan, published: Path, allowed: Allowed = WHOLE) -> Path:
    """Writes the records and tables of `grid` to `published`/<suite>, whole or not at all, in place of what was there.

    Raises SettingsError for what is not `publishable`.
    """
    records, trials = publishable(grid, scan, published, allowed)
    shown = replace(scan, published=True)
    with written_folder(published / check_name(grid.suite.name, "suite")) as folder:
        PublishedStore(folder).save(records)
        if trials:
            PublishedStore(folder / TRIALS).save(trials)
        write_report(grid, shown, folder)
        write_plots(grid, shown, folder)
    return published / grid.suite.name
