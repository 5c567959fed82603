"""A suite's cells and where each stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.config import CellSettings, SettingsError, Suite, resolve
from benchmarks.record import RunRecord
from benchmarks.store import Scan
from methods import METHODS
from scenarios import DataNotFound, Scenario, layout_for, resolve_head


@dataclass(frozen=True)
class Grid:
    """cells: all that can run; impossible: (scenario, method) -> why that pair cannot."""

    suite: Suite
    cells: list[CellSettings]
    impossible: dict[tuple[str, str], str]

    def missing(self, scan: Scan) -> list[CellSettings]:
        """Cells without a whole, successful record: never run, or to be tried again."""
        return [c for c in self.cells if _status(c, scan) not in ("done", "diverged")]

    def shard(self, text: str) -> Grid:
        """The k-th of n equal parts, for `text` "k/n". Raises SettingsError where `text` is something else.

        Parts are of all cells, done or not: machines that start at other times still share none. Cells are dealt out
        in the order of their identities, which is as good as shuffled: slow methods do not meet in one part.
        """
        k, slash, n = text.partition("/")
        if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
            raise SettingsError([f"--shard {text}: say k/n with k from 1 to n, e.g. 2/8 for the second of eight parts"])
        dealt = sorted(cell.identity for cell in self.cells)[int(k) - 1 :: int(n)]
        return replace(self, cells=[cell for cell in self.cells if cell.identity in dealt])

    def records(self, scan: Scan) -> list[RunRecord]:
        """The records of this grid's cells under the names that this suite gives them."""
        found = []
        for cell in self.cells:
            record = scan.records.get(cell.identity)
            if record is not None:
                names = {"scenario": cell.scenario_name, "method": cell.method_name}
                found.append(record.model_copy(update=names))
        return found

    def statuses(self, scan: Scan) -> list[tuple[CellSettings, str]]:
        return [(cell, _status(cell, scan)) for cell in self.cells]


def matched_by_name(grid: Grid, scan: Scan) -> Scan:
    """`scan` with each record under the cell of its scenario, method and seed, whatever its identity.

    For published evidence: it stays readable when settings gain fields, and says itself with which it was made. One
    whose settings are of another method or setting than its names stand for is named and left out.
    """
    names = {(r.scenario, r.method, r.seed): r for r in scan.records.values()}
    found = Scan(problems=list(scan.problems))
    for cell in grid.cells:
        record = names.get((cell.scenario_name, cell.method_name, cell.seed))
        if record is None:
            continue
        theirs = (record.settings["method"]["name"], record.settings["scenario"]["setting"])
        if theirs != (cell.method.name, cell.scenario.setting):
            found.problems.append(
                f"skipped the record of {cell.label}: it is of method {theirs[0]!r} in the {theirs[1]}-incremental setting"
            )
            continue
        found.records[cell.identity] = record
    return found


def _status(cell: CellSettings, scan: Scan) -> str:
    record = scan.records.get(cell.identity)
    return record.status if record else "missing"


def make_grid(suite: Suite) -> Grid:
    """The grid of `suite`. Raises SettingsError with everything that is wrong with it."""
    cells, impossible, problems = [], {}, []
    for cell in resolve(suite):
        # only the setting matters here, so two tasks of one class stand for the real ones
        layout = layout_for(cell.scenario.setting, [1, 1], cell.scenario.active_outputs)
        reason = METHODS[cell.method.name].misfit(layout) or suite.left_out(cell.scenario_name, cell.method_name)
        if reason:
            impossible[cell.scenario_name, cell.method_name] = reason
            continue
        try:
            resolve_head(layout, cell.model.head)
        except ValueError as error:
            problems.append(f"{cell.scenario_name}: {error}")
        cells.append(cell)
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return Grid(suite, cells, impossible)


def rehearse(cells: list[CellSettings], data_root: str | None) -> None:
    """Finds the data and starts each method once, so that what cannot work is said before anything is trained.

    Raises DataNotFound, or SettingsError with every scenario and method that cannot be built.
    """
    problems: list[str] = []
    scenarios: dict[str, Scenario | None] = {}
    tried: set[tuple[str, str]] = set()
    for cell in cells:
        if cell.scenario_name not in scenarios:
            try:
                scenarios[cell.scenario_name] = cell.scenario.build(cell.seed, data_root, cell.scenario_name)
            except DataNotFound:
                raise
            except ValueError as error:
                problems.append(f"scenario {cell.scenario_name}: {error}")
                scenarios[cell.scenario_name] = None
        scenario = scenarios[cell.scenario_name]
        pair = (cell.scenario_name, cell.method_name)
        if scenario is None or pair in tried:
            continue
        tried.add(pair)
        try:
            METHODS[cell.method.name].from_settings(cell.method.settings).start(
                scenario, cell.model, cell.training, cell.seed
            )
        except ValueError as error:
            problems.append(f"{cell.scenario_name} {cell.method_name}: {error}")
    if problems:
        raise SettingsError(problems)
