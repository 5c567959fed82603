"""A memory of examples and of what the network said to them (Buzzega et al. 2020)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.core.method import Method
from methods.parts.reservoir import Reservoir
from scenarios import Examples, OutputLayout

Offer = Literal["once", "every_epoch"]
"""When a method offers an example to the reservoir: in its first epoch, or anew in each."""


class LogitReservoir(Reservoir):
    """A reservoir whose examples keep the logits that the network had for them when they came."""

    def __init__(self, capacity: int, generator: torch.Generator, layout: OutputLayout):
        super().__init__(capacity, generator)
        self.layout = layout
        self._widths = torch.tensor([layout.width(task) for task in range(layout.n_tasks)])  # columns, by task

    def offer(self, examples: Examples, logits: Tensor) -> None:
        """`add`, with the logits [n, columns so far]."""
        self.add(examples, logits=to_width(logits, self.layout.n_outputs))

    def distance(self, method: Method, n: int) -> Tensor:
        """Mean squared distance [] of the network's logits from the stored ones, over min(n, stored) drawn examples."""
        rows = self.pick(n)
        assert self._store is not None, "pick has looked"
        stored = method.batch(self._store[rows])
        logits, before = method.network(stored.x), self.beside["logits"].index_select(0, rows)
        if self.layout.width(0) == self.layout.n_outputs:  # every column existed from the start
            return F.mse_loss(logits, before)
        if self._widths.device != rows.device:  # once: at every step the host would wait for a GPU
            self._widths = self._widths.to(rows.device, non_blocking=True)
        return logit_distance(logits, before, self._widths[stored.task_ids])

    @property
    def logits_nbytes(self) -> int:
        """Bytes of the logits; `nbytes` are those of the examples."""
        return 4 * len(self) * self.layout.n_outputs


def to_width(logits: Tensor, n: int) -> Tensor:
    """Float32 logits [N, n]: columns that do not exist yet are 0."""
    missing = n - logits.shape[1]
    return F.pad(logits.float(), (0, missing)) if missing else logits.float()


def logit_distance(logits: Tensor, stored: Tensor, widths: Tensor) -> Tensor:
    """Mean squared difference of logits [N, C] and `stored` [N, >= C] over the first widths[i] columns of each row.

    A head that grows has no old logits to compare its new columns with; papers have all columns from the start.
    """
    exists = torch.arange(logits.shape[1], device=logits.device) < widths[:, None]
    squares = (logits - stored[:, : logits.shape[1]]).square() * exists
    return squares.sum() / exists.sum()
