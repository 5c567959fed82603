"""`git diff --name-only --no-renames A...B | python -m benchmarks.gate.changes`: which champions a change concerns.

Prints a line for each champion whose cells the change may decide otherwise: the champion's file, its method, suite,
scenarios and seeds, separated by tabs. CI runs the methods named and puts each through the gate. A champion whose file
the change removes has a line on the error stream: nothing is left to compare with. Exit 2 where a champion or its suite
is broken.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml

from benchmarks.gate.champion import Entrant, load_champion
from benchmarks.request.catalogue import like_of, path_of
from benchmarks.request.errors import SettingsError
from benchmarks.request.source import source_of
from benchmarks.request.suite_yaml import read_yaml
from methods import METHODS

ROOT = Path(__file__).resolve().parent.parent.parent
CHAMPIONS = Path("results/champions")
WHOLE = ("models/", "scenarios/", "metrics/", "benchmarks/")
"""Folders of which every file counts, code and data."""
NEVER = (
    "benchmarks/suites/",  # by name instead
    *(f"benchmarks/{views}/" for views in ("contract", "cost", "gate", "ledger", "report")),
)
"""Among these what is made of records, or without running."""
LOCK = "requirements.lock"
ANY_STREAM = "split"
"""Which of them changes nothing about a method's files."""


def concerns(champion: Entrant, path: Path, changed: Collection[str]) -> bool:
    """Whether a change of these files (relative to the repository) may change a cell of the champion at `path`.

    Takes rather too many than too few: all code that any cell runs through, the champion's method with what it imports
    from methods/, its suite with those that it is like, the lock file, and the champion's own file.
    """
    deciding = {_relative(path), LOCK, *_suite_files(champion.suite), *method_files(_methods(champion))}
    return any(
        file in deciding or (file.startswith(WHOLE) and not file.startswith(NEVER) and not file.endswith(".md"))
        for file in changed
    )


def method_files(names: Collection[str]) -> set[str]:
    """Files of methods/ that decide the cells of these methods, and the packages' own; all files of methods/ where a
    method is not in the list."""
    everything = {p.relative_to(ROOT).as_posix() for p in (ROOT / "methods").rglob("*.py")}
    if not set(names) <= set(METHODS):
        return everything
    decide = {file for name in names for file in source_of(name, ANY_STREAM)}
    return {file for file in everything if file in decide or file.endswith("__init__.py")}


def champions_of(changed: Collection[str], folder: Path) -> Iterator[tuple[Path, Entrant]]:
    """File and records of each champion in `folder` that the change concerns: not of another program's predictions, which
    nothing here makes. Raises SettingsError."""
    for path in sorted(folder.glob("*.json")):
        champion = load_champion(path)
        if not champion.scored and concerns(champion, path, changed):
            yield path, champion


def removed_champions(changed: Collection[str], folder: Path) -> list[str]:
    """Files among `changed` that were champions in `folder` and are no more."""
    names = [file for file in changed if Path(file).parent == Path(_relative(folder)) and file.endswith(".json")]
    return [file for file in names if not (folder / Path(file).name).exists()]


def main(folder: Path = CHAMPIONS) -> None:
    changed = [line.strip() for line in sys.stdin]
    for file in removed_champions(changed, folder):
        print(f"{file} is removed: its method has nothing to be compared with", file=sys.stderr)
    try:
        for path, champion in champions_of(changed, folder):
            seeds = sorted({seed for by_seed in champion.records.values() for seed in by_seed})
            fields = (path, champion.name, champion.suite or "-", ",".join(champion.records), ",".join(map(str, seeds)))
            print(*fields, sep="\t")
    except SettingsError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        raise SystemExit(2) from None


def _methods(champion: Entrant) -> set[str]:
    return {r.settings["method"]["name"] for by_seed in champion.records.values() for r in by_seed.values()}


def _suite_files(suite: str | None) -> set[str]:
    """The file of a suite by name or path, and of those that it is like. Raises SettingsError where one is no YAML."""
    files: set[str] = set()
    while suite:
        path = path_of(suite)
        if _relative(path) in files:
            break
        files.add(_relative(path))
        try:
            document = read_yaml(path.read_text(encoding="utf-8")) if path.is_file() else None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SettingsError([f"cannot read the suite {path}: {error}"]) from None
        suite = like_of(str(document["like"]), path) if isinstance(document, dict) and "like" in document else None
    return files


def _relative(path: Path) -> str:
    """As git names it, where it lies in the repository."""
    absolute = path.resolve()
    return absolute.relative_to(ROOT).as_posix() if absolute.is_relative_to(ROOT) else path.as_posix()


if __name__ == "__main__":
    main()
