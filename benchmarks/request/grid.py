"""A suite's cells and where each stands."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.request.resolve import misfit, resolve
from benchmarks.request.scored import ScoredCell
from benchmarks.request.suite import CellSettings, Suite


@dataclass(frozen=True)
class Grid:
    """cells: all that can run; impossible: (scenario, method) -> why that pair cannot; scored: the places of other
    programs' predictions, which only records tell of (records/scored.py)."""

    suite: Suite
    cells: list[CellSettings]
    impossible: dict[tuple[str, str], str]
    scored: tuple[ScoredCell, ...] = ()

    @property
    def places(self) -> list[CellSettings | ScoredCell]:
        """All that may have a record."""
        return [*self.cells, *self.scored]

    @property
    def scored_names(self) -> list[str]:
        """What the programs are called whose predictions were scored."""
        return list(dict.fromkeys(cell.method_name for cell in self.scored))


def make_grid(suite: Suite) -> Grid:
    """The grid of `suite`. Raises SettingsError with everything that is wrong with it."""
    cells, impossible = [], {}
    for cell in resolve(suite):
        reason = misfit(suite, cell.scenario_name, cell.method_name, cell.scenario, {"method": cell.method})
        if reason:
            impossible[cell.scenario_name, cell.method_name] = reason
        else:
            cells.append(cell)
    return Grid(suite, cells, impossible)
