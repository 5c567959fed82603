"""`publish SUITE --verify N`: some cells of a published suite, run again with today's code and compared."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.records.matching import lacks_only_defaults, matched_by_name, ways
from benchmarks.records.provenance import alike, changes_of, keep_derived, made, traced
from benchmarks.records.published import PublishedStore
from benchmarks.records.record import Counts, RunRecord
from benchmarks.records.store import Scan, Store
from benchmarks.records.verified import (
    Verification,
    VerifiedCell,
    outcomes_that_differ,
    read_verified,
    write_verified,
)
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid
from benchmarks.request.repository import commit
from benchmarks.request.source import commits_of_cell, names_of, source_at, source_of_cell
from benchmarks.request.suite import CellSettings
from benchmarks.wording import last_line

RunCells = Callable[[list[CellSettings], Path], object]
"""Runs cells and leaves their records in a folder."""


def verify_suite(grid: Grid, published: Path, n: int, run: RunCells) -> Verification:
    """Runs `n` cells of the suite published under `published`/<suite> again and writes verified.json beside its records.

    Raises SettingsError where nothing is published, where none of it has the settings of today's suite, and where the
    code is not committed: nobody could say later what was verified.
    """
    folder = published / grid.suite.name
    stored = PublishedStore(folder).scan()
    scan = traced(matched_by_name(grid, stored), folder)
    cells = chosen(grid, scan, n)
    out_of_reach = unreached(grid, scan, len(stored.records))
    if not cells:
        raise SettingsError(
            [f"nothing to verify: {folder} has no successful record with today's settings", *out_of_reach]
        )
    head = _commit_of(cells)
    with tempfile.TemporaryDirectory() as temporary:
        run(cells, Path(temporary))
        again = Store(Path(temporary)).scan().records
    runs = [(cell, scan.records[cell.identity], again[cell.identity]) for cell in cells]
    verified = _verification(head, runs, out_of_reach)
    ours = {cell.identity for cell in verified.cells}
    earlier = [_without(once, ours) if _key(once) == _key(verified) else once for once in read_verified(folder)]
    write_verified(folder, [*(once for once in earlier if once.cells), verified])
    keep_derived(folder, stored)
    return verified


def chosen(grid: Grid, scan: Scan, n: int) -> list[CellSettings]:
    """`n` cells, the same on every machine: a method after another, those first whose code has changed; within a method
    as good as at random, so that slow scenarios come as often as fast ones."""
    changed = {cell.identity for cell, _ in made(grid, scan).changed}
    by_method: dict[str, list[CellSettings]] = {}
    for cell in sorted(grid.cells, key=lambda cell: (cell.identity not in changed, cell.identity)):
        record = scan.records.get(cell.identity)
        if record is not None and _can_be_verified(cell, record):
            by_method.setdefault(cell.method_name, []).append(cell)
    rounds = [
        (k, cell.identity not in changed, hashlib.sha256(method.encode()).hexdigest(), cell)
        for method, own in by_method.items()
        for k, cell in enumerate(own)
    ]
    return [cell for *_, cell in sorted(rounds, key=lambda entry: entry[:3])][:n]


def unreached(grid: Grid, scan: Scan, total: int) -> list[str]:
    """How many of the `total` records that are published no run of today's cells can be compared with: a line for each
    reason."""
    pairs = [(cell, scan.records[cell.identity]) for cell in grid.cells if cell.identity in scan.records]
    done = [(cell, record) for cell, record in pairs if record.status == "done"]
    counted = {
        "of no cell that the suite runs": total - len(pairs),
        "of runs that did not come to their end": len(pairs) - len(done),
    }
    lines = [f"{n} record{'s' if n > 1 else ''} {why}" for why, n in counted.items() if n]
    lines += ways((cell, record) for cell, record in done if not _can_be_verified(cell, record))
    return [f"cannot be verified: {line}" for line in lines]


def _can_be_verified(cell: CellSettings, record: RunRecord) -> bool:
    """Whether `cell` is what `record` is of; a setting that was added since may stand at its default."""
    same = record.identity == cell.identity or lacks_only_defaults(record.settings, cell.identity_settings())
    return same and record.status == "done"


def text_of(verified: Verification, scan: Scan) -> list[str]:
    """A line a cell, and what cannot be verified, for the terminal."""
    records = {record.identity: record for record in scan.records.values()}
    lines = []
    for cell in verified.cells:
        head = f"{cell.scenario} {cell.method} seed {cell.seed}: "
        if cell.error:
            lines.append(head + cell.error)
        elif cell.equal:
            bits = " bit for bit" if alike(verified, records[cell.identity]) else ""
            lines.append(f"{head}equal{bits} ({cell.answers:,} test answers)")
        else:
            lines.append(f"{head}{cell.differ:,} of {cell.answers:,} test answers differ")
    return [*lines, *verified.unreached]


def _commit_of(cells: list[CellSettings]) -> str:
    """The commit whose code this is; files that decide none of `cells` may differ from it."""
    head = (commit() or "").removesuffix("+dirty")
    for cell in cells:
        clean = bool(head) and source_at(head, *names_of(cell)) == source_of_cell(cell)
        commits = commits_of_cell(cell).values()
        if not clean and any(c is None or c.endswith("+dirty") for c in commits):
            raise SettingsError([f"not verified: {cell.label}: its code is not committed; commit it first"])
    return head


def _verification(
    head: str, runs: list[tuple[CellSettings, RunRecord, RunRecord]], out_of_reach: list[str]
) -> Verification:
    environment = runs[0][2].environment
    return Verification(
        commit=head,
        hardware=environment["hardware"],
        threads=environment["threads"],
        products=environment.get("products", "BLAS"),
        torch=environment["versions"]["torch"],
        instructions=environment.get("instructions"),
        cells=tuple(_compared(*run) for run in runs),
        unreached=tuple(out_of_reach),
    )


def _compared(cell: CellSettings, then: RunRecord, now: RunRecord) -> VerifiedCell:
    pairs = [(then.matrix, now.matrix)]
    if then.matrix_other and now.matrix_other:
        pairs.append((then.matrix_other, now.matrix_other))
    answers = sum(n or 0 for a, _ in pairs for row in a.total for n in row)
    differ, error = 0, None if now.status == "done" else f"{now.status}: {last_line(now.error)}"
    if error is None:
        differ = sum(_differ(a, b) for a, b in pairs if a.total == b.total)
        others = outcomes_that_differ(then, now)
        counts = [f"{differ:,} of {answers:,} test answers"] if differ else []
        error = f"{', '.join([*others, *counts])} differ" if others else None
    return VerifiedCell(
        scenario=cell.scenario_name,
        method=cell.method_name,
        seed=cell.seed,
        identity=then.identity,
        answers=answers,
        differ=differ,
        error=error,
        changed=tuple(sorted(changes_of(then.source, now.source), key=lambda change: change[0])) if then.source else (),
    )


def _differ(then: Counts, now: Counts) -> int:
    """By how many correct answers two matrices differ, entry by entry."""
    entries = zip(then.correct, now.correct, strict=True)
    return sum(abs((a or 0) - (b or 0)) for one, other in entries for a, b in zip(one, other, strict=True))


def _key(once: Verification) -> tuple[str, str, str | None]:
    return once.commit, once.hardware, once.instructions


def _without(once: Verification, identities: set[str]) -> Verification:
    return once.model_copy(update={"cells": tuple(c for c in once.cells if c.identity not in identities)})
