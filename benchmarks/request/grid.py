"""A suite's cells and where each stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.request.resolve import misfit, resolve
from benchmarks.request.selection import parse_shard
from benchmarks.request.suite import CellSettings, Suite


@dataclass(frozen=True)
class Grid:
    """cells: all that can run; impossible: (scenario, method) -> why that pair cannot."""

    suite: Suite
    cells: list[CellSettings]
    impossible: dict[tuple[str, str], str]

    def shard(self, text: str) -> Grid:
        """The k-th of n equal parts, for `text` "k/n". Raises SettingsError where `text` is something else.

        Parts are of all cells, done or not: machines that start at other times still share none. Cells are dealt out
        in the order of their identities, which is as good as shuffled: slow methods do not meet in one part.
        """
        k, n = parse_shard(text)
        dealt = sorted(cell.identity for cell in self.cells)[k - 1 :: n]
        return replace(self, cells=[cell for cell in self.cells if cell.identity in dealt])


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
