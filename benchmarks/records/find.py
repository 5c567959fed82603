"""Which record a user names: by scenario, method and seed, by the beginning of its identity, or by its file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.request.errors import SettingsError
from benchmarks.request.names import file_name
from scenarios.nearest import closest

if TYPE_CHECKING:
    from benchmarks.records.record import RunRecord

MOST_LISTED = 20
_STEM = re.compile(r"(?P<cell>.+)\.seed(?P<seed>\d+)\.(?P<id>[0-9a-f]{12})")
_ID = re.compile(r"[0-9a-f]{6,64}")
_SEED = re.compile(r"seed[ =./]*(?=\d)")


@dataclass(frozen=True)
class Place:
    """Where a record lies. suite: its folder's name; cell: "split-digits.class.er", scenario and method as in file names;
    id: the first twelve digits of its identity; line: of a file of several records, from 1."""

    suite: str
    cell: str
    seed: int
    id: str
    file: Path
    line: int | None = None

    @property
    def text(self) -> str:
        return f"{self.suite}: {self.cell} seed {self.seed} ({self.id})"

    def read(self) -> RunRecord:
        """Raises SettingsError where what lies there is no record or cannot be read."""
        from benchmarks.records.record import RecordError, RunRecord, read_json

        try:
            if self.line is None:
                return RunRecord.from_document(read_json(self.file))
            with open(self.file, "rb") as file:
                return RunRecord.from_json(next(line for n, line in enumerate(file, 1) if n == self.line))
        except (OSError, RecordError) as error:
            where = self.file if self.line is None else f"{self.file}:{self.line}"
            raise SettingsError([f"{where}: {error}"]) from None


def find(words: list[str], results: Path, suite: str | None = None, published: bool = False) -> Place:
    """The one record that `words` name: "split-digits/class er seed 0" or "split-digits/class/er/0", any part of it that
    is enough ("er 0"), an identity's first six digits or more, or the path of its file.

    suite: only of this one. Raises SettingsError where there is none, naming the nearest, or several, which it lists.
    """
    asked = " ".join(words).strip()
    path = Path(asked)
    if path.suffix == ".json" and path.is_file():
        named = _STEM.fullmatch(path.stem)
        cell, seed, id = (named["cell"], int(named["seed"]), named["id"]) if named else (path.stem, 0, "")
        return Place(path.parent.name, cell, seed, id, path)
    places = list(_published(results) if published else _own(results))
    if suite is not None:
        known = sorted({place.suite for place in places})
        places = [place for place in places if place.suite == suite]
        if not places:
            raise SettingsError(
                [f"no records of suite {suite!r} in {_folder(results, published)}{_meant(suite, known)}"]
            )
    if not places:
        raise SettingsError([f"no records in {_folder(results, published)}; `run SUITE` makes some"])
    found = _matching(asked, places)
    if not found:
        names = [f"{place.cell} seed {place.seed}" for place in places]
        raise SettingsError([f"no record of {asked!r} in {_folder(results, published)}{_meant(asked, names)}"])
    if len(found) > 1:
        listed = [place.text for place in found[:MOST_LISTED]]
        more = [f"and {len(found) - MOST_LISTED} more"] if len(found) > MOST_LISTED else []
        raise SettingsError(
            [
                f"{len(found)} records are of {asked!r}: say more of the name, --suite, or the digits in brackets\n"
                + "\n".join(f"  {line}" for line in [*listed, *more])
            ]
        )
    return found[0]


def _matching(asked: str, places: list[Place]) -> list[Place]:
    """Those whose whole name `asked` is, else whose identity it begins, else of whose name it is a part."""
    if named := _STEM.fullmatch(asked.removesuffix(".json")):
        return [place for place in places if place.id == named["id"]]
    words = [word for word in re.split(r"[\s/]+", _SEED.sub(" ", asked)) if word]
    seed = int(words.pop()) if len(words) > 1 and words[-1].isdecimal() else None
    name = ".".join(words)
    of_seed = [place for place in places if seed is None or place.seed == seed]
    whole = [place for place in of_seed if place.cell == name]
    if not whole and _ID.fullmatch(asked):
        whole = [place for place in places if place.id.startswith(asked[:12])]
    return whole or [place for place in of_seed if name and f".{name}." in f".{place.cell}."]


def _own(results: Path) -> Iterator[Place]:
    for file in sorted(results.glob("runs/*/*.json")):
        if named := _STEM.fullmatch(file.stem):
            yield Place(file.parent.name, named["cell"], int(named["seed"]), named["id"], file)


def _published(results: Path) -> Iterator[Place]:
    from benchmarks.records.published import FILE

    for file in sorted(results.glob(f"published/*/{FILE}")):
        with open(file, "rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    document = json.loads(line)
                    cell = f"{file_name(document['scenario'])}.{document['method']}"
                    yield Place(file.parent.name, cell, int(document["seed"]), document["identity"][:12], file, number)
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue  # `report` names it


def _folder(results: Path, published: bool) -> Path:
    return results / ("published" if published else "runs")


def _meant(asked: str, known: Iterable[str]) -> str:
    """The nearest of `known`, however its parts are joined."""
    plain = {re.sub(r"[\s/.]+", " ", name): name for name in known}
    near = closest(re.sub(r"[\s/.]+", " ", asked), plain)
    return f"; did you mean {plain[near]!r}?" if near else ""
