"""Given: the tasks that the data came in."""

from __future__ import annotations

from typing import Literal

from scenarios.arrays import OwnData
from scenarios.dataset import Dataset
from scenarios.stream import Stream


class Given(Stream):
    """The tasks of data of one's own that came one data set a task (docs/data.md)."""

    stream: Literal["given"] = "given"

    def make_tasks(self, dataset: Dataset, seed: int):
        if not (isinstance(dataset, OwnData) and dataset.tasks):
            raise ValueError(f"{self.data} did not come one data set a task; use stream: split")
        tasks = dataset.tasks
        if len(tasks) != self.tasks:
            raise ValueError(f"tasks: {self.tasks} were asked for, {self.data} has {len(tasks)}: tasks: {len(tasks)}")
        labels = [{dataset.given_labels[number] for number in task} for task in tasks]
        shared = sorted(set.union(*(a & b for n, a in enumerate(labels) for b in labels[:n]), set()))
        if shared and self.setting == "class":
            raise ValueError(
                f"class {shared[0]} is in more than one task of {self.data}; class-incremental tasks have classes of their "
                "own: use setting: domain, or number the classes of all tasks through"
            )
        if shared and self.setting == "domain" and any(own != labels[0] for own in labels):
            raise ValueError(
                f"tasks of {self.data} share some classes and not others; domain-incremental tasks have the same classes, "
                "or each its own"
            )
        return list(tasks), [None] * self.tasks, {}
