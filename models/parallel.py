"""Backbones side by side, of which only the newest learns, and heads over all their features."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from models.heads import LinearHead, MultiHead, drawn


class ParallelBackbones(nn.Module):
    """[N, C, H, W] -> the features of all parts, side by side, [N, features].

    All parts but the last are frozen and stay in eval mode whatever `train` says, so that running statistics are as
    fixed as weights (DER, Yan et al. 2021; FOSTER, Wang et al. 2022).
    """

    def __init__(self, parts: Iterable[nn.Module]):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        for part in self.parts[:-1]:
            part.eval().requires_grad_(False)

    @property
    def features(self) -> int:
        return sum(int(part.features) for part in self.parts)  # type: ignore[arg-type, misc]

    @property
    def newest(self) -> int:
        """Width of the last part's features, which come last."""
        return int(self.parts[-1].features)  # type: ignore[arg-type]

    def grown(self) -> ParallelBackbones:
        """These parts and one more that learns, which starts as a copy of the last."""
        return ParallelBackbones([*self.parts, copy.deepcopy(self.parts[-1])])

    def train(self, mode: bool = True) -> ParallelBackbones:
        super().train(mode)
        for part in self.parts[:-1]:
            part.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            old = [part(x) for part in self.parts[:-1]]
        return torch.cat([*old, self.parts[-1](x)], dim=1)


def fresh_head(head: nn.Module, features: int, bias: bool | None = None) -> nn.Module:
    """A new linear head with the columns of `head` over `features` inputs; `bias` None: as `head` has it."""

    def fresh(linear: nn.Module) -> nn.Linear:
        """linear: nn.Linear or LinearHead."""
        inner = linear.linear if isinstance(linear, LinearHead) else linear
        assert isinstance(inner, nn.Linear)
        init = linear.init if isinstance(linear, LinearHead) else "torch"
        new = drawn(features, inner.out_features, inner.bias is not None if bias is None else bias, init)
        return new.to(inner.weight.device)

    new = copy.deepcopy(head)
    if isinstance(new, MultiHead):
        new.layers = nn.ModuleList(fresh(layer) for layer in new.layers)
    elif isinstance(new, LinearHead):
        new.linear = fresh(new)
        new.features = features
        new.bias = new.linear.bias is not None
    else:
        raise TypeError(f"linear heads alone are widened, not {type(head).__name__}")
    return new


@torch.no_grad()
def widened_head(head: nn.Module, features: int) -> nn.Module:
    """`head` over more features: its weights on the first ones and its biases as they are, freshly drawn on the rest."""
    new = fresh_head(head, features)
    old_layers, new_layers = ([m for m in h.modules() if isinstance(m, nn.Linear)] for h in (head, new))
    for old, wide in zip(old_layers, new_layers, strict=True):
        wide.weight[:, : old.in_features] = old.weight
        if old.bias is not None:
            wide.bias.copy_(old.bias)
    return new
