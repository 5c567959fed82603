"""`git diff --name-only A...B | python -m benchmarks.gate.changes`: which champions a change concerns.

Prints a line for each champion whose method's code is among the changed paths: the champion's file, its method, suite,
scenarios and seeds, separated by tabs. A file of methods/ that is no single method's own (base.py, buffer.py) concerns
every method; the list of methods (__init__.py) none. CI runs the methods named and puts each through the gate.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.gate.champion import Entrant, load_champion
from methods import METHODS

CHAMPIONS = Path("results/champions")


def changed_methods(paths: Iterable[str]) -> list[str]:
    """Names of the methods that a change of these files (relative to the repository) concerns, in METHODS' order."""
    changed = {path for path in paths if path.startswith("methods/") and path.endswith(".py")} - {"methods/__init__.py"}
    own = {name: cls.__module__.replace(".", "/") + ".py" for name, cls in METHODS.items()}
    if changed - set(own.values()):
        return list(METHODS)
    return [name for name, path in own.items() if path in changed]


def champions_of(methods: Iterable[str], folder: Path) -> Iterator[tuple[Path, str, Entrant]]:
    """File, method and records of each champion in `folder` of one of these methods. Raises SettingsError."""
    wanted = set(methods)
    for path in sorted(folder.glob("*.json")):
        champion = load_champion(path)
        names = {r.settings["method"]["name"] for own in champion.records.values() for r in own.values()}
        if names & wanted:
            yield path, champion.name, champion


def main(folder: Path = CHAMPIONS) -> None:
    methods = changed_methods(line.strip() for line in sys.stdin)
    for path, method, champion in champions_of(methods, folder):
        seeds = sorted({seed for own in champion.records.values() for seed in own})
        print(path, method, champion.suite or "-", ",".join(champion.records), ",".join(map(str, seeds)), sep="\t")


if __name__ == "__main__":
    main()
