"""Suites that are files of one's own: whose runs a name stands for.

Records and tables lie in folders that are called after the suite. Two suites of one name would share them, each
overwriting the other's tables, so the second one is refused.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.records.atomic_write import write_whole
from benchmarks.request.catalogue import is_file, path_of, suite_names
from benchmarks.request.errors import SettingsError

NOTE = "suite.txt"
"""In a folder of runs: the path of the suite's file."""


def check_own(suite: str, name: str, runs: Path) -> None:
    """Raises SettingsError where `suite` (as given: a name or a file) may not be called `name`: a suite that comes with
    Retain is, or another file whose runs lie in the folder `runs`. A copy of a file is the same suite, and so is a file
    that has moved or changed."""
    path = _file(suite)
    if path is None:
        return
    shipped = path_of(name)
    if name in suite_names() and not _same(path, shipped):
        raise SettingsError(
            [
                f"{suite} is called {name!r}, as a suite that comes with Retain: give it another `name:`, or rename the file"
            ]
        )
    try:
        other = Path((runs / NOTE).read_text().strip())
        taken = other.is_file() and not _same(path, other)
    except (OSError, ValueError):
        return
    if taken:
        raise SettingsError(
            [
                f"{runs} has the runs of {other}; {suite} has the same name, {name!r}: give one of them another `name:`, "
                "or use another --results-dir"
            ]
        )


def remember(suite: str, runs: Path) -> None:
    """Notes in `runs` that they are of this file; nothing for a suite that comes with Retain."""
    path = _file(suite)
    if path is not None:
        write_whole(runs / NOTE, f"{path.resolve()}\n")


def _file(suite: str) -> Path | None:
    return Path(suite) if is_file(suite) else None


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or one.read_bytes() == other.read_bytes()
