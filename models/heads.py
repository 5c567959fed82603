"""Output layers: features [N, d] -> logits [N, columns].

Each has `n_outputs`, `grow(n)` (to n columns in all; what exists stays bit for bit) and
`forward(features, task=None)`, where `task` is one id, ids [N], or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HeadLayer = Callable[[int, int], nn.Module]
"""(features, columns) -> an output layer."""


HeadInit = Literal["torch", "unit"]
"""How rows of a linear head are drawn: "torch", uniform within 1/sqrt(d), weights and biases (nn.Linear); "unit",
uniform within sqrt(3/d), so that a row has length 1 on average, biases 0 (PyCIL's SimpleLinear)."""


def drawn(features: int, n_outputs: int, bias: bool = True, init: HeadInit = "torch") -> nn.Linear:
    """A new linear layer whose rows are drawn as `init` says."""
    layer = nn.Linear(features, n_outputs, bias)
    if init == "unit":
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")
        if bias:
            nn.init.zeros_(layer.bias)
    return layer


class LinearHead(nn.Module):
    """One linear layer whose rows can grow: the shared head, the masked one and the growing one."""

    def __init__(self, features: int, n_outputs: int, bias: bool = True, init: HeadInit = "torch"):
        super().__init__()
        self.features = features
        self.bias = bias
        self.init = init
        self.linear = drawn(features, n_outputs, bias, init) if n_outputs else None

    @property
    def n_outputs(self) -> int:
        return self.linear.out_features if self.linear is not None else 0

    def grow(self, n: int) -> None:
        """Adds freshly initialised rows up to n; the old ones keep their values. Raises ValueError for fewer."""
        old = self.linear
        if n < self.n_outputs:
            raise ValueError(f"a head of {self.n_outputs} columns cannot shrink to {n}")
        if n == self.n_outputs:
            return
        new = drawn(self.features, n, self.bias, self.init)
        if old is not None:
            new.to(old.weight.device)
            with torch.no_grad():
                new.weight[: old.out_features] = old.weight
                if self.bias:
                    new.bias[: old.out_features] = old.bias
        self.linear = new

    def forward(self, features: Tensor, task: int | Tensor | None = None) -> Tensor:
        if self.linear is None:
            return features.new_empty(len(features), 0)
        return self.linear(features)


class MultiHead(nn.Module):
    """One linear layer a task. All exist from the start, so that unseen tasks can be evaluated.

    With one task id only that task's layer is computed (the others get no gradient at all, so no optimizer
    touches them); its logits stand in their columns, -inf-like elsewhere. `layer` makes each from (features, n).
    """

    def __init__(self, features: int, sizes: list[int], layer: HeadLayer = nn.Linear):
        super().__init__()
        self.layers = nn.ModuleList(layer(features, n) for n in sizes)
        self.sizes = sizes

    @property
    def n_outputs(self) -> int:
        return sum(self.sizes)

    def grow(self, n: int) -> None:
        if n != self.n_outputs:
            raise ValueError(f"a multi-head layer has all its {self.n_outputs} columns from the start, not {n}")

    def forward(self, features: Tensor, task: int | Tensor | None = None) -> Tensor:
        if not isinstance(task, int):
            return torch.cat([layer(features) for layer in self.layers], dim=1)
        before = sum(self.sizes[:task])
        after = self.n_outputs - before - self.sizes[task]
        own = self.layers[task](features)
        return F.pad(own, (before, after), value=torch.finfo(own.dtype).min)
