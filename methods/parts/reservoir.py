"""Stored examples: which are kept, and how they are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenarios import Examples


class Reservoir:
    """A uniform sample of fixed size of everything seen so far (Vitter 1985, algorithm R), a batch at a time.

    beside: float tensors [capacity, ...] kept in step with the examples, by name: what `add` was given beside them.
    """

    def __init__(self, capacity: int, generator: torch.Generator):
        if capacity < 1:
            raise ValueError(f"a buffer needs room for at least one example, not {capacity}")
        self.capacity = capacity
        self.generator = generator
        self.seen = 0
        self.beside: dict[str, Tensor] = {}
        self._store: Examples | None = None

    def __len__(self) -> int:
        return min(self.seen, self.capacity)

    @property
    def nbytes(self) -> int:
        return self.examples.nbytes if self._store is not None else 0

    @property
    def examples(self) -> Examples:
        """Everything stored, a view. Raises ValueError while empty."""
        if self._store is None:
            raise ValueError("the buffer is empty")
        n = len(self)
        return Examples(self._store.images[:n], self._store.labels[:n], self._store.task_ids[:n])

    def add(self, new: Examples, **beside: Tensor) -> None:
        """Offers each of `new` once: example number s (from 0) replaces a random slot with probability capacity/(s+1).

        beside: [n, ...], a row for each of `new`, e.g. the logits that it had; the same names at every call.
        """
        n = len(new)
        if n == 0:
            return
        if self._store is None:
            self._store = self._room_for(new)
            self.beside = {name: rows.new_zeros(self.capacity, *rows.shape[1:]) for name, rows in beside.items()}
        order = np.arange(self.seen, self.seen + n)
        draws = (torch.rand(n, generator=self.generator, dtype=torch.float64).numpy() * (order + 1)).astype(np.int64)
        slots = np.where(order < self.capacity, order, draws)
        # Of several examples that would take one slot the last stays, as if they had come one by one.
        slots, last = np.unique(slots[::-1], return_index=True)
        taken = slots < self.capacity
        self.seen += n
        if not taken.any():  # as a rule, once many have been seen
            return
        device = new.labels.device
        rows = torch.from_numpy(n - 1 - last[taken]).to(device, non_blocking=True)
        to = torch.from_numpy(slots[taken]).to(device, non_blocking=True)
        chosen = new[rows]
        self._store.images[to] = chosen.images
        self._store.labels[to] = chosen.labels
        self._store.task_ids[to] = chosen.task_ids
        for name, values in beside.items():
            self.beside[name][to] = values[rows]

    def sample(self, n: int) -> Examples:
        """min(n, stored) different examples, drawn uniformly."""
        rows = self.pick(n)
        assert self._store is not None, "pick has looked"
        return self._store[rows]

    def _room_for(self, new: Examples) -> Examples:
        """A place for `capacity` examples like `new`; nothing may be read from it before it is set."""
        labels = new.labels.new_empty(self.capacity)
        return Examples(new.images.new_empty(self.capacity, *new.images.shape[1:]), labels, torch.empty_like(labels))

    def __getstate__(self) -> dict[str, Any]:
        """For checkpoints: what is stored, without the room that is left."""
        if self._store is None:
            return self.__dict__.copy()
        beside = {name: rows[: len(self)] for name, rows in self.beside.items()}
        return self.__dict__ | {"_store": self.examples, "beside": beside}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The same again, with the room to `capacity`."""
        self.__dict__.update(state)
        if self._store is None:
            return
        stored, n = self._store, len(self)
        self._store = self._room_for(stored)
        for room, filled in (
            (self._store.images, stored.images),
            (self._store.labels, stored.labels),
            (self._store.task_ids, stored.task_ids),
        ):
            room[:n] = filled
        for name, rows in self.beside.items():
            self.beside[name] = rows.new_zeros(self.capacity, *rows.shape[1:])
            self.beside[name][:n] = rows

    def pick(self, n: int) -> Tensor:
        """Rows int64 of min(n, stored) different examples, drawn uniformly: into `examples` and `beside`."""
        if self._store is None:
            raise ValueError("the buffer is empty")
        return draw(len(self), n, self.generator).to(self._store.labels.device, non_blocking=True)


def draw(population: int, n: int, generator: torch.Generator) -> Tensor:
    """min(n, population) different rows of `population`, uniformly; int64."""
    return torch.randperm(population, generator=generator)[:n]


def even_quotas(budget: int, parts: int) -> list[int]:
    """`budget` dealt out over `parts` as evenly as integers allow, the larger shares first."""
    return [budget // parts + (i < budget % parts) for i in range(parts)]
