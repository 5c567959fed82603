"""Data sets of one's own by name: `npz:FILE`, and `hf:NAME` of Hugging Face's library.

What is in them decides results, so a request names them with their checksum, `npz:FILE@0123456789abcdef`: other data of
the same name are another data set, whose cells have not run yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from scenarios.arrays import OwnData, load
from scenarios.dataset import DataNotFound
from scenarios.datasets import DATASETS, FOLDER, data_roots

MADE_HERE = Path("results/data")
"""Where arrays lie that were given to `benchmarks.api.bench`."""
FORMS = "your own: npz:FILE, folder:NAME, hf:NAME"
_NAME = re.compile(r"(?P<kind>npz|hf):(?P<place>.+?)(?:@(?P<checksum>[0-9a-f]{16}))?")


def is_own(name: str) -> bool:
    """Whether `name` is of this kind; whether there is such data is another question."""
    return _NAME.fullmatch(name) is not None


def offer(name: str) -> None:
    """Makes the data set of that name, where it is of this kind, known to `load_dataset`; reads nothing."""
    if is_own(name):
        DATASETS.setdefault(name, lambda roots: _load(name, roots))


def with_checksum(name: str, data_root: str | None = None) -> str:
    """`name` with the checksum of its data, as it now is. Raises DataNotFound."""
    kind, place, _ = _parts(name)
    return f"{kind}:{place}@{_load(name, tuple(root.absolute() for root in data_roots(data_root))).checksum}"


def without_folder(name: str) -> str:
    """`name` without the place of its file, which decides nothing."""
    kind, place, checksum = _parts(name) if is_own(name) else ("", "", None)
    return f"npz:{Path(place).name}@{checksum}" if kind == "npz" and checksum else name


def with_hint(error: DataNotFound, name: str, data_root: str | None) -> str:
    """What to say of data that is not to be had: of a tree whose part for testing has another name, how to mend it too."""
    folder = name.removeprefix(FOLDER) if name.startswith(FOLDER) else ""
    for place in [root / folder for root in data_roots(data_root)] if folder else []:
        if (place / "test").is_dir() and not (place / "val").exists():
            return f"{error}\nThe part for testing is called val here: ln -s test {place / 'val'}"
    return str(error)


def _parts(name: str) -> tuple[str, str, str | None]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no data set of your own: npz:FILE or hf:NAME")
    return found["kind"], found["place"], found["checksum"]


def _load(name: str, roots: tuple[Path, ...]) -> OwnData:
    kind, place, checksum = _parts(name)
    data = READERS[kind](place, roots)
    if checksum is not None and data.checksum != checksum:
        raise DataNotFound(
            f"{name}: the data there now have the checksum {data.checksum}: they have changed since they were asked for. "
            "Put the former data back, or ask for them without @"
        )
    return data


def _read_npz(place: str, roots: tuple[Path, ...]) -> OwnData:
    places = [Path(place).expanduser(), *(root / place for root in roots), MADE_HERE / place]
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        looked = ", ".join(str(path) for path in dict.fromkeys(places))
        raise DataNotFound(f"npz:{place} not found: looked for {looked}. Give its path, or set DATA_ROOT to its folder")
    about = path.stat()
    try:
        return _npz(path.resolve(), about.st_mtime_ns, about.st_size)
    except (ValueError, OSError) as error:
        lines = "\n  ".join(str(error).splitlines())
        raise DataNotFound(f"{path} is no data set:\n  {lines}") from error


@lru_cache(maxsize=2)
def _npz(path: Path, changed: int, size: int) -> OwnData:
    return load(path)


def _read_hf(place: str, roots: tuple[Path, ...]) -> OwnData:
    from scenarios.hugging_face import read

    return read(place, roots)


READERS: dict[str, Callable[[str, tuple[Path, ...]], OwnData]] = {"npz": _read_npz, "hf": _read_hf}
