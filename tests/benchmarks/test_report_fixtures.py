"""Planted records for the tests of reports, and that they are what the store would accept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.records.record import Counts, Flops, Memory, RunRecord
from benchmarks.records.results import Runs, results_of
from benchmarks.records.store import Scan, Store
from benchmarks.report.leaderboard import Leaderboard, make_leaderboard
from benchmarks.report.table import Cell, Row, Table
from benchmarks.request.grid import Grid
from benchmarks.request.identity import identity_of
from benchmarks.request.suite import CellSettings, Suite

SCENARIO = "split-digits/domain"
TOTAL = 100

# Three tasks; per cent correct after 0, 1, 2, 3 tasks. Some forgetting, some transfer, nothing to warn of.
PLAIN = [[50, 40, 60], [97, 55, 62], [80, 90, 66], [70, 78, 85]]


@dataclass(frozen=True)
class RecordedCell:
    """As much of a cell as its record tells."""

    scenario_name: str
    method_name: str
    seed: int
    identity: str
    settings: dict[str, Any]

    def identity_settings(self) -> dict[str, Any]:
        return self.settings


def recorded_grid(suite: Suite, scan: Scan, impossible: dict[tuple[str, str], str]) -> Grid:
    """A grid whose cells are those that have records: what is checked is the report, not which cells a suite has."""
    cells = [RecordedCell(r.scenario, r.method, r.seed, identity, r.settings) for identity, r in scan.records.items()]
    order = list(suite.methods)
    cells.sort(key=lambda cell: (cell.seed, order.index(cell.method_name)))  # as those of a suite
    return Grid(suite, cells, impossible)  # type: ignore[arg-type]


def shifted(by: int, matrix: Sequence[Sequence[int]] = PLAIN) -> list[list[int]]:
    """`matrix` with `by` more correct answers in the last row."""
    return [*map(list, matrix[:-1]), [n + by for n in matrix[-1]]]


def planted(
    method: str,
    seed: int,
    matrix: Sequence[Sequence[int | None]] = PLAIN,
    scenario: str = SCENARIO,
    training: dict[str, Any] | None = None,
    **changes: Any,
) -> RunRecord:
    """A record with these counts, out of TOTAL in each cell. What the store would refuse can be planted too."""
    n, (data, _, setting) = len(matrix[0]), scenario.removeprefix("split-").partition("/")
    recipe = {"epochs": 2, "steps": None, "batch_size": 16, "drop_last": False, "schedule": "constant"}
    recipe |= {"optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9}, "optimizer_state": "fresh"}
    buffer = {"buffer_size": 50} if method in ("er", "gem", "a-gem") else {}
    settings = {
        "scenario": {"stream": "split", "data": data, "setting": setting, "tasks": n, "class_order": "natural"}
        | {"normalisation": "dataset", "active_outputs": "seen", "padding": 0, "version": 1},
        "method": {"name": method, "settings": buffer, "version": 1},
        "model": {"backbone": "mlp", "hidden": [8], "head": "auto"},
        "training": recipe | (training or {}),
        "seed": seed,
    }
    values: dict[str, Any] = {
        "scenario": scenario,
        "method": method,
        "seed": seed,
        "status": "done",
        "settings": settings,
        "identity": identity_of(settings),
        "matrix": counts(matrix),
        "flops": Flops(
            inference=[2000] * n, inference_modules=[2000] * n, training=3_000_000, parts={"train": 3_000_000}
        ),
        "seconds": {"total": 1.0 + seed / 10},
        "steps": 10,
        "parameters": [{"total": 1000, "frozen": 0, "trainable": 1000}] * n,
        "memory": Memory(stored_bytes=[{"buffer": 500} if buffer else {}] * n, peak_bytes=None),
        "scenario_manifest": {"classes": [[0, 1]] * n, "train_sizes": [20] * n, "test_sizes": [TOTAL] * n}
        | {"data_checksum": "c0ffee"},
        "environment": {"commit": "a" * 40, "hardware": "test machine", "device": "cpu", "threads": 1}
        | {"system": "Linux", "versions": {"python": "3.11", "torch": "2.11"}},
    }
    return RunRecord.model_construct(**(values | changes))


def planted_cell(cell: CellSettings, **changes: Any) -> RunRecord:
    """A record of `cell` as the store would accept it: half of every test set right, seed by seed a little more."""
    n, unseen = cell.scenario.tasks, cell.scenario.setting == "class"
    matrix = [[None if unseen and j >= i else 50 + cell.seed for j in range(n)] for i in range(n + 1)]
    names = {"settings": cell.identity_settings(), "identity": cell.identity, "scenario": cell.scenario_name}
    reasons = {"not_evaluated": {"unseen tasks": "class-incremental"}} if unseen else {}
    return planted(cell.method_name, cell.seed, matrix, **(names | reasons | changes))


def counts(matrix: Sequence[Sequence[int | None]]) -> Counts:
    total = [[None if n is None else TOTAL for n in row] for row in matrix]
    return Counts(correct=[list(row) for row in matrix], total=total)


def recorded(
    records: Iterable[RunRecord],
    methods: Sequence[str] | dict[str, dict[str, Any]] = ("finetune", "joint", "ewc", "er"),
    scenarios: Sequence[str] = (SCENARIO,),
    seeds: Sequence[int] = (0, 1, 2),
    impossible: dict[tuple[str, str], str] | None = None,
    **suite: Any,
) -> tuple[Grid, Scan]:
    """A grid of these names, and its records as a scan of their folder would give them."""
    described = {name: {"stream": "split", "data": "digits", "setting": name.rpartition("/")[2]} for name in scenarios}
    suite = {"name": "planted", "title": "Planted records", "scenarios": described, "seeds": list(seeds)} | suite
    settings = methods if isinstance(methods, dict) else {name: {} for name in methods}
    # as it stands, also with names that a suite's file may not have: reports escape what they are given
    scan = Scan()
    for record in records:
        assert record.identity not in scan.records, "two planted records of one cell"
        scan.records[record.identity] = record
    return recorded_grid(Suite.model_construct(**suite, methods=settings), scan, impossible or {}), scan


def board_of(records: Iterable[RunRecord], metrics: list[str] | None = None, **grid: Any) -> Leaderboard:
    return make_leaderboard(results_of(*recorded(records, **grid)), metrics)


def runs_of(records: Iterable[RunRecord], **grid: Any) -> Runs:
    return results_of(*recorded(records, **grid)).runs[0]


def row_of(table: Table, method: str) -> Row:
    return next(row for row in table.rows if row.method == method)


def cell_of(table: Table, method: str, measure: str) -> Cell:
    return row_of(table, method).cells[[c.measure.id for c in table.columns].index(measure)]


def notes_of(table: Table, cell: Cell | Row) -> list[str]:
    return [table.notes[k - 1] for k in cell.notes]


def test_planted_records_are_ones_that_the_store_accepts(tmp_path):
    store, record = Store(tmp_path), planted("er", 0)
    store.save(record)
    scan = store.scan()
    assert scan.problems == []
    assert scan.records == {record.identity: record}
