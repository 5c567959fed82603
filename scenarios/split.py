"""Split: the classes of a data set dealt out over the tasks."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from scenarios.class_orders import averaged_orders, order_of_seed, published_order, published_orders
from scenarios.dataset import Dataset
from scenarios.nearest import nearest
from scenarios.stream import Stream, resolve_class_order


class Split(Stream):
    """Each task has its own classes (Zenke et al. 2017, Split MNIST; Hsu et al. 2018 and van de Ven 2019 its settings)."""

    stream: Literal["split"] = "split"
    class_order: str | tuple[int, ...] = Field(
        "natural",
        description='"natural", "per_seed" (drawn anew for every seed), a published one, one of several published '
        "ones for each seed (dytox-cifar100), or a list of classes",
    )
    classes: int | None = Field(None, ge=1, description="only the first of the order; null: all")
    first_task_classes: int | None = Field(None, ge=1, description="classes in the first task; null: as in the others")

    @field_validator("class_order")
    @classmethod
    def _known_order(cls, order: str | tuple[int, ...]) -> str | tuple[int, ...]:
        known = ["natural", "per_seed", *averaged_orders(), *published_orders()]
        if isinstance(order, str) and order not in known:
            otherwise = f"known: {', '.join(known)}, or a list of classes"
            raise ValueError(f"no class order {order!r}{nearest(order, known, otherwise)}")
        return order

    added_later: ClassVar[frozenset[str]] = Stream.added_later | {"classes"}

    def check_seed(self, seed: int) -> None:
        """Raises ValueError where the paper's orders are fewer."""
        if isinstance(self.class_order, str):
            order_of_seed(self.class_order, seed)

    def make_tasks(self, dataset: Dataset, seed: int):
        order = self._order(dataset, seed)
        first = self.first_task_classes
        rest, later = (len(order), self.tasks) if first is None else (len(order) - first, self.tasks - 1)
        if rest < later or (later and rest % later) or (not later and rest):
            raise ValueError(f"{rest} classes of {self.data} cannot be split evenly over {later} tasks")
        size = rest // later if later else 0
        sizes = ([] if first is None else [first]) + [size] * later
        classes, start = [], 0
        for n in sizes:
            classes.append(tuple(order[start : start + n]))
            start += n
        return classes, [None] * self.tasks, {"class_order": order}

    def _order(self, dataset: Dataset, seed: int) -> list[int]:
        """The classes in the order in which they come. Raises ValueError where data set and settings do not fit."""
        if isinstance(self.class_order, str) and self.class_order not in ("natural", "per_seed"):
            order = published_order(self.class_order, self.data, dataset.n_classes, seed)
        else:
            order = resolve_class_order(self.class_order, dataset.n_classes, seed)
        if self.classes is None:
            return order
        if self.classes > len(order):
            raise ValueError(f"classes: {self.classes} of {self.data} were asked for, its order has {len(order)}")
        return order[: self.classes]
