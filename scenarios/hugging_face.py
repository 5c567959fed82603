"""`hf:NAME`: a data set of Hugging Face's `datasets` library that is on this machine. Nothing is ever fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from scenarios.arrays import OwnData, own_data
from scenarios.dataset import DataNotFound

TESTS = ("test", "validation", "valid")
"""Names of the part that is tested on; the first that there is."""
IMAGES, LABELS = ("image", "img"), ("label", "labels", "fine_label")


def read(name: str, roots: tuple[Path, ...]) -> OwnData:
    """The data set `name`: a folder of that name under one of `roots` that `save_to_disk` wrote, else the library's cache.

    Its images are all decoded into memory. Raises DataNotFound, which says how to get it, or what is wrong with it.
    """
    place = next((root / name for root in roots if (root / name / "dataset_dict.json").is_file()), None)
    try:
        return _read(name, place)
    except ValueError as error:
        lines = "\n  ".join(str(error).splitlines())
        raise DataNotFound(
            f"hf:{name} cannot be used as it is:\n  {lines}\nFrom Python, scenarios.own_data takes any Dataset, and "
            "resizes images"
        ) from error


@lru_cache(maxsize=1)
def _read(name: str, place: Path | None) -> OwnData:
    try:
        import datasets
    except ImportError:
        raise DataNotFound(f"hf:{name} needs Hugging Face's library: pip install datasets") from None
    try:
        with _offline(datasets):
            parts = datasets.load_from_disk(str(place)) if place else datasets.load_dataset(name)
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataNotFound(
            f"hf:{name} is not on this machine ({said}), and is not fetched unasked. To get it: "
            f"python -c \"import datasets; datasets.load_dataset('{name}').save_to_disk('data/{name}')\""
        ) from error
    test = next((part for part in TESTS if part in parts), None)
    if "train" not in parts or test is None:
        raise ValueError(f"its parts are {', '.join(parts)}; a part train and a part test are needed")
    columns = parts["train"].features
    image = _column(columns, IMAGES, "Image")
    label = _column(columns, LABELS, "ClassLabel")
    names = getattr(columns[label], "names", None)
    train, tests = (_Pairs(parts[part], image, label) for part in ("train", test))
    return own_data(train, tests, name=f"hf:{name}", classes=names)


class _Pairs:
    """A part as a Dataset of (image, label)."""

    def __init__(self, part: Any, image: str, label: str):
        self._part, self._image, self._label = part, image, label

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, k: int) -> tuple[Any, Any]:
        row = self._part[k]
        return row[self._image], row[self._label]


def _column(columns: Any, usual: tuple[str, ...], kind: str) -> str:
    """The one column of that kind, else one of a usual name."""
    found = [name for name, column in columns.items() if type(column).__name__ == kind]
    found = found if len(found) == 1 else [name for name in usual if name in columns][:1]
    if not found:
        raise ValueError(f"its columns are {', '.join(columns)}; one should be of type {kind}, or called {usual[0]}")
    return found[0]


@contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    """The library reads these when it is imported, and from there when it is used."""
    import huggingface_hub.constants as hub

    before = (datasets.config.HF_DATASETS_OFFLINE, datasets.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE)
    told = {name: os.environ.get(name) for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")}
    os.environ.update(dict.fromkeys(told, "1"))
    datasets.config.HF_DATASETS_OFFLINE = datasets.config.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_OFFLINE, datasets.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE = before
        for name, value in told.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
