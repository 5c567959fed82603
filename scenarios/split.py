"""Split: the classes of a data set dealt out over the tasks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scenarios.datasets import Dataset
from scenarios.stream import Stream, resolve_class_order


class Split(Stream):
    """Each task has its own classes (Zenke et al. 2017, Split MNIST; Hsu et al. 2018 and van de Ven 2019 its settings)."""

    stream: Literal["split"] = "split"
    class_order: Literal["natural", "per_seed"] | tuple[int, ...] = Field(
        "natural", description='"natural", "per_seed" (drawn anew for every seed) or a list of classes'
    )
    first_task_classes: int | None = Field(None, ge=1, description="classes in the first task; null: as in the others")

    def make_tasks(self, dataset: Dataset, seed: int):
        order = resolve_class_order(self.class_order, dataset.n_classes, seed)
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
