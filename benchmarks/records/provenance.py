"""Which records were made by other code than today's, and how that is said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.matching import distinct, unfinished
from benchmarks.records.record import RunRecord
from benchmarks.records.store import Scan
from benchmarks.records.verified import Change, Verification, proved_equal, read_verified
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid
from benchmarks.request.source import Source, source_at, source_of_cell
from benchmarks.request.suite import CellSettings

DERIVED = "source.json"
"""Beside published records that do not say themselves what code decided them: what the history says of their commits."""
EVERY = "every cell"
SUBJECT = "source, when this was written"


@dataclass(frozen=True)
class Made:
    """By what code the records of a grid were made. changed: other than today's, with the changes; unknown: of which that
    cannot be told; equal: changes that were proved to leave the results as they are; same: the number of all others."""

    changed: tuple[tuple[CellSettings, frozenset[Change]], ...]
    unknown: tuple[CellSettings, ...]
    equal: frozenset[Change]
    same: int

    @property
    def total(self) -> int:
        return len(self.changed) + len(self.unknown) + self.same

    @property
    def files(self) -> Counter[str]:
        """The files that have changed, each with the number of records made before."""
        return Counter(name for _, changes in self.changed for name in sorted({file for file, *_ in changes}))


def made(grid: Grid, scan: Scan) -> Made:
    """Compares the source of every record with today's. A cell that failed has no numbers and does not count."""
    proved = proved_equal(scan.verified)
    changed: list[tuple[CellSettings, frozenset[Change]]] = []
    unknown: list[CellSettings] = []
    equal: set[Change] = set()
    same = 0
    for cell in grid.cells:
        record = scan.records.get(cell.identity)
        if record is None or record.status == "failed":
            continue
        if not record.source:
            unknown.append(cell)
            continue
        changes = changes_of(record.source, source_of_cell(cell))
        equal |= changes & proved
        if changes - proved:
            changed.append((cell, changes - proved))
        else:
            same += 1
    return Made(tuple(changed), tuple(unknown), frozenset(equal), same)


def changes_of(then: Source, now: Source) -> frozenset[Change]:
    """The files whose code differs."""
    files = {file for file, _ in then.items() ^ now.items()}
    return frozenset((file, then.get(file), now.get(file)) for file in files)


def traced(scan: Scan, published: Path | None = None) -> Scan:
    """`scan` with the source of records that do not say it, as far as the history tells; published: the folder of a
    published suite, where that is kept, with what was verified."""
    known = _read_derived(published) if published else {}
    records = {
        i: r if r.source or r.scored else r.model_copy(update={"source": _derived(r, known)})
        for i, r in scan.records.items()
    }
    return replace(scan, records=records, verified=read_verified(published) if published else ())


def keep_derived(published: Path, stored: Scan) -> Path | None:
    """Writes what the history says of the records `stored` in this folder that do not say it themselves, so that a clone
    without history tells the same. None where there are no such records."""
    known = _read_derived(published)
    found: dict[str, dict[str, Source]] = {}
    for record in stored.records.values():
        if not (record.source or record.scored) and (source := _derived(record, known)):
            found.setdefault(str(record.environment.get("commit")), {})[_pair(record)] = source
    if not found:
        return None
    document = {commit: _factored(found[commit]) for commit in sorted(found)}
    return write_whole(published / DERIVED, json.dumps(document, indent=1, sort_keys=True) + "\n")


def to_run(grid: Grid, scan: Scan, fresh: bool = False, keep: bool = False) -> list[CellSettings]:
    """The cells that have no record, each once; with `fresh`, also those whose record is of other code, or of code not
    known.

    Raises SettingsError where there are records of other code and neither `fresh` nor `keep` says what to do with them:
    new ones beside them would make a table of two programs.
    """
    if fresh and keep:
        raise SettingsError(["--fresh runs records of other code again and --keep keeps them: give one of the two"])
    by = made(grid, scan)
    if by.changed and not (fresh or keep):
        raise SettingsError(
            [f"{other_code_text(by)}: --fresh runs these cells again, --keep accepts the records; nothing was run"]
        )
    again = {cell.identity for cell in (*(cell for cell, _ in by.changed), *by.unknown)} if fresh else set()
    missing = {cell.identity for cell in unfinished(grid, scan)}
    return distinct(cell for cell in grid.cells if cell.identity in missing | again)


def other_code_text(made: Made) -> str:
    """ "12 records were made by other code of methods/er.py"; empty where none was."""
    n = len(made.changed)
    return f"{_records(n)} made by other code of {_listed(list(_by_count(made.files)))}" if n else ""


def unknown_text(made: Made) -> str:
    """The same of records whose code cannot be told."""
    n = len(made.unknown)
    return f"of {n} record{'s' if n > 1 else ''} it is not known by what code they were made" if n else ""


def source_text(made: Made, records: Iterable[RunRecord], verified: Iterable[Verification]) -> str:
    """For the protocol of a table: whether the source that decides its cells has changed, and what was verified."""
    parts = []
    if made.changed:
        files = made.files
        listed = _listed([f"{file} ({files[file]} of {made.total} records)" for file in _by_count(files)])
        parts.append(f"changed since these cells were run: {listed}")
    elif made.same and not made.equal:
        parts.append("not changed since these cells were run")
    if made.equal:
        parts.append(f"changed, with equal results: {_listed(sorted({file for file, *_ in made.equal}))}")
    if made.unknown:
        parts.append(f"not known for {len(made.unknown)} of {made.total} records")
    by_identity = {record.identity: record for record in records}
    parts += [_verified_text(once, by_identity) for once in verified]
    return "; ".join(parts)


def alike(once: Verification, record: RunRecord) -> bool:
    """Whether a cell run again must be equal bit for bit: on the same kind of processor, by the same libraries.

    Processors of one name may have other instructions: where either side does not tell them, it need not be.
    """
    environment = record.environment
    then = (
        kind(str(environment.get("hardware"))),
        environment.get("instructions"),
        environment.get("threads"),
        environment.get("products", "BLAS"),
        environment.get("versions", {}).get("torch"),
    )
    now = (kind(once.hardware), once.instructions, once.threads, once.products, once.torch)
    return then == now and once.instructions is not None


def kind(hardware: str) -> str:
    """The processor's or accelerator's name, however many cores of it there are."""
    return hardware.rpartition(", ")[0] if hardware.endswith(" cores") else hardware


def _verified_text(once: Verification, records: Mapping[str, RunRecord]) -> str:
    compared = [records[cell.identity] for cell in once.cells if cell.identity in records]
    same = bool(compared) and all(alike(once, record) for record in compared)
    where = f"at commit {once.commit[:12]} on {once.hardware}" + ("" if same else f" with torch {once.torch}")
    text = f"{len(once.cells)} of the cells, run again {where}: "
    others = [cell for cell in once.cells if not cell.equal]
    if not others:
        return text + ("matrices equal bit for bit" if same else "matrices equal")
    told = [
        f"{c.scenario} {c.method} seed {c.seed} "
        + (c.error if c.error else f"in {c.differ:,} of {c.answers:,} test answers")
        for c in others
    ]
    unlike = "" if same else " (the machine or torch is, or may be, another kind than the records')"
    return f"{text}{len(once.cells) - len(others)} equal, {len(others)} not{unlike}: {', '.join(told)}"


def _derived(record: RunRecord, known: Mapping[str, Mapping[str, Source]]) -> Source:
    commit = record.environment.get("commit")
    if source := known.get(str(commit), {}).get(_pair(record)):
        return source
    if commit is None or commit.endswith("+dirty"):
        return {}
    return source_at(commit, *_names(record)) or {}


def _names(record: RunRecord) -> tuple[str, str]:
    return record.settings["method"]["name"], record.settings["scenario"]["stream"]


def _pair(record: RunRecord) -> str:
    return " ".join(_names(record))


def _factored(sources: Mapping[str, Source]) -> dict[str, Source]:
    """What all have in common once, then what each has besides."""
    shared = set.intersection(*(set(source.items()) for source in sources.values()))
    rest = {pair: dict(source.items() - shared) for pair, source in sources.items()}
    return {EVERY: dict(shared)} | rest


def _read_derived(folder: Path) -> dict[str, dict[str, Source]]:
    """Commit -> "method stream" -> source. Raises SettingsError for a broken file."""
    path = folder / DERIVED
    try:
        document: dict[str, dict[str, Any]] = json.loads(path.read_text())
        return {
            commit: {pair: own[EVERY] | source for pair, source in own.items() if pair != EVERY}
            for commit, own in document.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError([f"{path}: {error}: delete it; `report SUITE --published` writes it anew"]) from None


def _records(n: int) -> str:
    return f"{n} record was" if n == 1 else f"{n} records were"


def _by_count(files: Counter[str]) -> list[str]:
    return sorted(files, key=lambda file: (-files[file], file))


def _listed(texts: list[str], most: int = 5) -> str:
    """The first ones, and how many more there are."""
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more file{'s' if more > 1 else ''}" if more > 0 else "")
