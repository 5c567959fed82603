"""Split with fewer test images: for networks that take a large part of a second for each."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field

from scenarios.dataset import Dataset
from scenarios.scenario import Scenario, Subset
from scenarios.split import Split
from scenarios.stream import Stream


class SplitSample(Split):
    """`split` whose test images are a sample too: as many of each class as of another (to one), the same for all seeds.

    What it measures is `split`'s accuracy with the error of a small test set; tables say how many images that are.
    """

    stream: Literal["split-sample"] = "split-sample"  # type: ignore[assignment]
    test_samples_per_task: int = Field(100, ge=1, description="test images a task")

    added_later: ClassVar[frozenset[str]] = Stream.added_later

    def of(self, dataset: Dataset, seed: int = 0, name: str | None = None) -> Scenario:
        scenario = super().of(dataset, seed, name)
        tasks = tuple(replace(task, test=self._fewer(task.test)) for task in scenario.tasks)
        sizes = {"test_sizes": [len(task.test) for task in tasks]}
        return replace(scenario, tasks=tasks, manifest=scenario.manifest | sizes)

    def _fewer(self, test: Subset) -> Subset:
        """The first images of each class, as many of one as of another (to one). Raises ValueError for fewer than classes."""
        labels = test.labels.unique()
        if self.test_samples_per_task < len(labels):
            raise ValueError(
                f"test_samples_per_task: {self.test_samples_per_task} leaves classes of task {test.task + 1}, which has "
                f"{len(labels)}, without a test image; give more"
            )
        turn = torch.zeros(len(test.labels), dtype=torch.int64)
        for label in labels.tolist():
            own = test.labels == label
            turn[own] = torch.arange(int(own.sum()))
        chosen = turn.argsort(stable=True)[: self.test_samples_per_task].sort().values
        return Subset(test.images, test.rows[chosen], test.labels[chosen], test.task, test.pixel_map)
