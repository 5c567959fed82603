"""Class orders that papers were run with, one data file each: the data set, the source, the classes in order."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent


def published_orders() -> list[str]:
    """The names of all orders, e.g. "dytox-cifar100-1"."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def published_order(name: str, data: str, n_classes: int) -> list[int]:
    """The order `name` for data set `data` of `n_classes` classes.

    Raises ValueError where the order is another data set's.
    """
    document = _read(name)
    if document["data"] != data or len(document["classes"]) != n_classes:
        of = f"{len(document['classes'])} classes of {document['data']}"
        raise ValueError(f"class order {name!r} is of the {of}, not of the {n_classes} of {data}")
    return list(document["classes"])


@lru_cache
def _read(name: str) -> dict:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
