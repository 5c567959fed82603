"""Class orders that papers were run with, one data file each: the data set, the source, the classes in order.

Orders that a paper averages over share a name, NAME-1, NAME-2, ...: NAME alone is one of them for each seed.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent


def published_orders() -> list[str]:
    """The names of all orders, e.g. "dytox-cifar100-1"."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@lru_cache
def averaged_orders() -> dict[str, list[str]]:
    """Name -> the orders that a paper averages over, e.g. "dytox-cifar100" -> "dytox-cifar100-1", "-2", "-3"."""
    groups: dict[str, list[str]] = {}
    for order in published_orders():
        groups.setdefault(order.rpartition("-")[0], []).append(order)
    return {name: orders for name, orders in groups.items() if len(orders) > 1}


def order_of_seed(name: str, seed: int) -> str:
    """Of several orders under one name the one of `seed`; any other name as it is. Raises ValueError for a seed too many."""
    several = averaged_orders().get(name)
    if several is None:
        return name
    if seed >= len(several):
        raise ValueError(f"class order {name!r} has {len(several)} orders, for seeds 0 to {len(several) - 1}")
    return several[seed]


def published_order(name: str, data: str, n_classes: int, seed: int = 0) -> list[int]:
    """The order `name` for data set `data` of `n_classes` classes; of several under one name, the one of `seed`.

    Raises ValueError where the order is another data set's, or there is none for the seed.
    """
    name = order_of_seed(name, seed)
    document = _read(name)
    if document["data"] != data or len(document["classes"]) != n_classes:
        of = f"{len(document['classes'])} classes of {document['data']}"
        raise ValueError(f"class order {name!r} is of the {of}, not of the {n_classes} of {data}")
    return list(document["classes"])


@lru_cache
def _read(name: str) -> dict:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
