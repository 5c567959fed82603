"""An episodic memory with an equal share for every task, as GEM and A-GEM keep it."""

from __future__ import annotations

from typing import Literal

import torch

from methods.buffer import draw, even_quotas
from scenarios import Examples


class EpisodicMemory:
    """`budget` examples over `n_tasks` tasks: a task's share is stored when it ends and never changes."""

    def __init__(self, budget: int, n_tasks: int, select: Literal["last", "random"], generator: torch.Generator):
        self.quotas = even_quotas(budget, n_tasks)
        if 0 in self.quotas:
            raise ValueError(f"buffer_size {budget} leaves some of {n_tasks} tasks without a single example")
        self.select, self.generator = select, generator
        self.tasks: list[Examples] = []

    def __len__(self) -> int:
        return sum(len(t) for t in self.tasks)

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self.tasks)

    def store(self, examples: Examples) -> None:
        """Keeps the next task's share of `examples`: its last ones, or a random subset."""
        n, quota = len(examples), self.quotas[len(self.tasks)]
        rows = draw(n, quota, self.generator) if self.select == "random" else torch.arange(max(0, n - quota), n)
        self.tasks.append(examples[rows.to(examples.labels.device)])

    def sample(self, n: int) -> Examples:
        """min(n, stored) different examples, drawn uniformly over all tasks."""
        everything = self.all()
        return everything[draw(len(everything), n, self.generator).to(everything.labels.device)]

    def all(self) -> Examples:
        return Examples.concatenate(self.tasks)
