"""Progressive neural network: a column a task, fed laterally by the frozen ones (Rusu et al. 2016, eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.full_precision import full_precision, widened


class Column(nn.Module):
    """One column: h_i = relu(W_i h_{i-1} + sum over earlier columns j of U_ij h_{i-1}^(j)), i > 1; then an output layer.

    The sum over earlier columns is one product with their concatenated activations. Adapters (the paper's
    non-linear lateral for reinforcement learning) are left out: its eq. 2 is the plain form built here.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, earlier: int):
        super().__init__()
        sizes = [inputs, *hidden, outputs]
        self.own = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.lateral = nn.ModuleList(
            nn.Linear(earlier * a, b, bias=False) for a, b in zip(sizes[1:], sizes[2:], strict=False) if earlier
        )

    def forward(self, x: Tensor, earlier: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """x [N, inputs]; earlier[j][i]: layer i's activation of column j. Returns this column's, output last."""
        activations: list[Tensor] = []
        h, last = x, len(self.own) - 1
        for i in range(last):
            h = torch.relu(self._layer(i, h, earlier))
            activations.append(h)
        with full_precision(h):
            logits = self._layer(last, widened(h), [[widened(a) for a in column] for column in earlier])
        return [*activations, logits]

    def _layer(self, i: int, h: Tensor, earlier: Sequence[Sequence[Tensor]]) -> Tensor:
        z = self.own[i](h)
        if i > 0 and earlier:
            z = z + self.lateral[i - 1](torch.cat([column[i - 1] for column in earlier], dim=1))
        return z


class ProgressiveNetwork(nn.Module):
    """Columns added one at a time; all but the newest are frozen."""

    def __init__(self, inputs: int, hidden: Sequence[int]):
        super().__init__()
        self.inputs, self.hidden = inputs, list(hidden)
        self.columns = nn.ModuleList()

    def add_column(self, outputs: int) -> Column:
        """Freezes what exists and adds a column with `outputs` outputs."""
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        column = Column(self.inputs, self.hidden, outputs, len(self.columns))
        self.columns.append(column)
        return column

    def forward(self, x: Tensor, task: int) -> Tensor:
        """Logits of column `task` over its own classes. Raises IndexError for a task without a column."""
        if not 0 <= task < len(self.columns):
            raise IndexError(f"no column for task {task}: {len(self.columns)} columns so far")
        x = x.flatten(1)
        earlier: list[list[Tensor]] = []
        for i in range(task + 1):
            with torch.set_grad_enabled(torch.is_grad_enabled() and i == task):
                activations = self.columns[i](x, earlier)
            earlier.append(activations)
        return earlier[-1][-1]
