"""The two sides of a gate: a champion's file, and where a challenger's records come from.

A champion is one JSON document with the full run records of one method, so that every number is recomputed from
counts, under whatever rules:

    {"champion_version": 1, "name": "er", "suite": "digits", "scenarios": {"split-digits/class": [0, 1, 2, 3, 4]},
     "records": [...]}
"""

from __future__ import annotations

import glob
import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import pandas as pd

from benchmarks.records.atomic_write import write_whole
from benchmarks.records.matching import records_of
from benchmarks.records.published import scan_folder
from benchmarks.records.record import RecordError, RunRecord, read_json
from benchmarks.records.results import frame_of
from benchmarks.records.scored import scored_names, with_scored
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from scenarios.nearest import nearest

CHAMPION_VERSION = 1
PREVIOUS = "previous"
"""The folder beside a champion in which the champions before it are kept."""


@dataclass(frozen=True)
class Entrant:
    """One side: the records of one method by scenario and seed, whatever their status. where: file, folder or suite."""

    name: str
    where: str
    suite: str | None
    records: dict[str, dict[int, RunRecord]]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The records as `frame_of` tells."""
        return frame_of([record for by_seed in self.records.values() for record in by_seed.values()])

    @property
    def scored(self) -> bool:
        """Whether its counts are of another program's predictions."""
        return any(record.scored for by_seed in self.records.values() for record in by_seed.values())

    @property
    def scenarios(self) -> dict[str, list[int]]:
        """Scenario -> its seeds."""
        return {scenario: sorted(by_seed) for scenario, by_seed in self.records.items()}

    def only(self, patterns: list[str]) -> Entrant:
        """Narrowed to the scenarios that match. Raises SettingsError for a pattern that none matches."""
        problems = [
            f"--scenarios: {self.where} has no scenario {pattern!r}{nearest(pattern, list(self.records))}"
            for pattern in patterns
            if not any(fnmatchcase(scenario, pattern) for scenario in self.records)
        ]
        if problems:
            raise SettingsError(problems)
        kept = {s: by_seed for s, by_seed in self.records.items() if any(fnmatchcase(s, p) for p in patterns)}
        return replace(self, records=kept)

    def of_seeds(self, seeds: dict[str, list[int]]) -> Entrant:
        """Narrowed to these seeds of each scenario, of those that it has."""
        kept = {s: {k: r for k, r in by_seed.items() if k in seeds.get(s, [])} for s, by_seed in self.records.items()}
        return replace(self, records=kept)

    def to_json(self) -> str:
        """The champion document of these records, a line each."""
        head = {
            "champion_version": CHAMPION_VERSION,
            "name": self.name,
            "suite": self.suite,
            "scenarios": self.scenarios,
        }
        records = [by_seed[seed].document() for by_seed in self.records.values() for seed in sorted(by_seed)]
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        listed = ",\n".join(json.dumps(record, sort_keys=True) for record in records)
        return "{\n" + ",\n".join(lines) + ',\n"records": [\n' + listed + "\n]\n}\n"


def load_champion(path: Path) -> Entrant:
    """Reads a champion's file. Raises SettingsError that says what is wrong with it."""
    try:
        document = read_json(path)
    except FileNotFoundError:
        there = ", ".join(sorted(p.name for p in path.parent.glob("*.json"))) or "no champion"
        raise SettingsError([f"no champion at {path}; {path.parent} has {there}; `promote` makes one"]) from None
    except (OSError, RecordError) as error:
        raise SettingsError([f"cannot read the champion {path}: {error}"]) from None
    version = document.get("champion_version") if isinstance(document, dict) else None
    if type(version) is not int or version != CHAMPION_VERSION:
        raise SettingsError(
            [f"{path} is no champion of version {CHAMPION_VERSION} (champion_version {version!r}); `promote` makes one"]
        )
    name, suite = document.get("name"), document.get("suite")
    if not isinstance(name, str) or not isinstance(suite, str | None):
        raise SettingsError([f"{path} says name {name!r} and suite {suite!r}: both are texts, suite may be null"])
    problems: list[str] = []
    listed = document.get("records")
    if not isinstance(listed, list) or not listed:
        raise SettingsError([f"{path} holds no records"])
    records = []
    for i, item in enumerate(listed):
        try:
            records.append(RunRecord.from_document(item))
        except RecordError as error:
            problems.append(f"{path}, record {i}: {error}")
    if problems:
        raise SettingsError(problems)
    entrant = _entrant(name, str(path), suite, records)
    if document.get("scenarios") != entrant.scenarios:
        raise SettingsError([f"{path} says it has {document.get('scenarios')}, its records are {entrant.scenarios}"])
    return entrant


def names_path(text: str) -> bool:
    """Whether a challenger is given as a file or folder, not as a method."""
    return "/" in text or text.endswith(".json") or Path(text).is_dir()


def find_challenger(
    text: str,
    suite: str | None = None,
    results_dir: Path = Path("results"),
    scenarios: list[str] | None = None,
    seeds: list[int] | dict[str, list[int]] | None = None,
    changes: list[str] | None = None,
) -> Entrant:
    """The challenger that `text` names: a file as a champion's, a folder of one method's records, or a method whose
    records lie in `results_dir`/runs/`suite`, of these scenarios and seeds (by scenario, or for all; None: the suite's).

    Raises SettingsError where it is not to be found, or where some of its cells have not run.
    """
    path = Path(text)
    if not names_path(text):
        return _from_suite(text, suite, results_dir, scenarios, seeds, changes)
    if path.is_dir():
        entrant = _from_folder(path, suite)
    elif path.is_file():
        entrant = load_champion(path)
    else:
        raise SettingsError([f"no file or folder {text}; a challenger is a champion's file, a folder or a method"])
    return entrant if scenarios is None else entrant.only(scenarios)


def promote(challenger: Entrant, path: Path) -> Path | None:
    """Makes `challenger` the champion at `path`; the champion that was there moves to previous/<name>.<number>.json.

    Returns where the old one is now, None where there was none. A reader finds the old champion or the new one, never
    half of one. Raises SettingsError where what lies at `path` is no champion: nothing is overwritten unread.
    """
    kept = None
    if path.exists():
        load_champion(path)
        folder = path.parent / PREVIOUS
        numbers = [p.stem.rpartition(".")[2] for p in folder.glob(f"{glob.escape(path.stem)}.*.json")]
        kept = folder / f"{path.stem}.{max((int(n) for n in numbers if n.isdecimal()), default=0) + 1}.json"
        write_whole(kept, path.read_text(), to_disk=True)
    write_whole(path, challenger.to_json(), to_disk=True)
    return kept


def _from_suite(
    method: str,
    suite: str | None,
    results_dir: Path,
    scenarios: list[str] | None,
    seeds: list[int] | dict[str, list[int]] | None,
    changes: list[str] | None,
) -> Entrant:
    if suite is None:
        raise SettingsError([f"challenger {method!r}: give --suite, so that its records are found"])
    by_scenario = seeds if isinstance(seeds, dict) else {}
    listed = sorted({seed for chosen in seeds.values() for seed in chosen}) if isinstance(seeds, dict) else seeds
    chosen = load_suite(
        suite, [method], scenarios, listed, changes, lambda name: scored_names(results_dir / "runs" / name)
    )
    store = Store(results_dir / "runs" / chosen.name)
    scan = store.scan()
    grid = with_scored(make_grid(chosen), scan)
    asked_for = [c for c in grid.places if c.seed in by_scenario.get(c.scenario_name, [c.seed])]
    absent = [cell for cell in asked_for if cell.identity not in scan.records]
    if grid.scored and absent:
        raise SettingsError(
            [f"{method}: predictions are not scored yet: {', '.join(cell.label for cell in absent)}: see `score`"]
        )
    if absent or not asked_for:
        command = ["python", "-m", "benchmarks", "run", suite, "--methods", method]
        command += ["--scenarios", ",".join(scenarios)] if scenarios else []
        command += ["--seeds", ",".join(map(str, listed))] if listed else []
        command += [word for change in changes or [] for word in ("--set", change)]
        first = f", first {absent[0].label}" if absent else ""
        raise SettingsError(
            [
                f"{store.folder} has {len(asked_for) - len(absent)} of the {len(asked_for)} cells of {method} "
                f"as the suite settles them{first}: `{shlex.join(command)}`"
            ]
            + scan.problems
        )
    kept = {cell.identity for cell in asked_for}
    records = [record for record in records_of(grid, scan) if record.identity in kept]
    return _entrant(method, str(store.folder), suite, records)


def _from_folder(folder: Path, suite: str | None) -> Entrant:
    scan = scan_folder(folder)
    if scan.problems:
        raise SettingsError(scan.problems)
    names = {record.method for record in scan.records.values()}
    if len(names) != 1:
        listed = ", ".join(sorted(names))
        found = f"records of {listed}; name one of these methods as the challenger" if names else "no records"
        raise SettingsError([f"{folder} holds {found}"])
    return _entrant(names.pop(), str(folder), suite, scan.records.values())


def _entrant(name: str, where: str, suite: str | None, records: Iterable[RunRecord]) -> Entrant:
    """Sorted by scenario and seed. Raises SettingsError where two records claim one place."""
    by_scenario: dict[str, dict[int, RunRecord]] = {}
    problems = []
    for record in sorted(records, key=lambda r: (r.scenario, r.seed)):
        by_seed = by_scenario.setdefault(record.scenario, {})
        if record.seed in by_seed:
            problems.append(
                f"{where}: two records of {record.scenario} seed {record.seed}, with different settings"
                if by_seed[record.seed].identity != record.identity
                else f"{where}: the record of {record.scenario} seed {record.seed} is there twice"
            )
        by_seed[record.seed] = record
    if problems:
        raise SettingsError(problems)
    return Entrant(name, where, suite, by_scenario)
