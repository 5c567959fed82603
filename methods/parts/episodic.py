"""An episodic memory with an equal share for every task, as GEM, A-GEM and naive rehearsal keep it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from methods.parts.reservoir import draw, even_quotas
from scenarios import Examples

Select = Literal["last", "random"]
Share = Literal["all", "seen"]


class EpisodicMemory:
    """`budget` examples over `n_tasks` tasks, each task's stored when it ends.

    share: of "all" tasks an equal one, which never changes; or of those "seen" so far budget // seen, for which the
    earlier tasks give up the ends of their (random, hence still random) selections.
    """

    def __init__(
        self, budget: int, n_tasks: int, select: Select, generator: torch.Generator, share: Share = "all"
    ) -> None:
        self.budget, self.quotas = budget, even_quotas(budget, n_tasks)
        if 0 in self.quotas:
            raise ValueError(f"buffer_size {budget} leaves some of {n_tasks} tasks without a single example")
        self.select, self.generator, self.share = select, generator, share
        self.tasks: list[Examples] = []

    def __len__(self) -> int:
        return sum(len(t) for t in self.tasks)

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self.tasks)

    def store(self, examples: Examples) -> None:
        """Keeps the next task's share of `examples`: a random subset, or the last ones of the order in which they are
        stored. Where that is class by class, as folders are, those would all be of one class: then of a shuffled order.
        """
        n, quota = len(examples), self.quotas[len(self.tasks)]
        if self.share == "seen":
            quota = self.budget // (len(self.tasks) + 1)
            self.tasks = [old[torch.arange(min(len(old), quota), device=old.labels.device)] for old in self.tasks]
        if self.select == "random":
            rows = draw(n, quota, self.generator)
        else:
            order = draw(n, n, self.generator) if class_by_class(examples.labels) else torch.arange(n)
            rows = order[max(0, n - quota) :]
        self.tasks.append(examples[rows.to(examples.labels.device)])

    def sample(self, n: int) -> Examples:
        """min(n, stored) different examples, drawn uniformly over all tasks."""
        everything = self.all()
        return everything[draw(len(everything), n, self.generator).to(everything.labels.device, non_blocking=True)]

    def all(self) -> Examples:
        return Examples.concatenate(self.tasks)

    def mixed_with(self, examples: Examples) -> Examples:
        """`examples`, then all that is stored max(1, n // budget) times, so that old to new is about 1 : 1."""
        if len(self) == 0:
            return examples
        copies = max(1, len(examples) // self.budget)
        return Examples.concatenate([examples, *[self.all()] * copies])


def class_by_class(labels: Tensor) -> bool:
    """Whether equal labels (int64 [N]) stand together: they change less than a quarter as often as in a random order."""
    counts = labels.bincount().double()
    expected = len(labels) - counts.square().sum() / len(labels)
    return bool((labels.diff() != 0).sum() < expected / 4)
