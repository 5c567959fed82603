"""Which examples a pass over a phase's data brings, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """A pass over the data of a phase.

    shuffle: in random order; else as the data are stored.
    views: how often an image comes, one after the other and each time augmented anew (repeated augmentation, Hoffer et
        al. 2020). A pass is as long as without, so it shows one image in `views`; with `all_views` it is longer instead.
    ranks, own: the last ranks x own examples are what that many processes hold apart, `own` each, in turn. A pass goes
        over what one process has, and its k-th example is of process k % ranks: what `ranks` processes read together
        that draw one permutation and take every ranks-th of it, each from its own data.
    """

    shuffle: bool = True
    views: int = 1
    all_views: bool = False
    ranks: int = 1
    own: int = 0

    def length(self, n: int) -> int:
        """Examples in a pass over n."""
        return self._positions(n) * (self.views if self.all_views else 1)

    def rows(self, n: int, generator: torch.Generator) -> Tensor:
        """Rows of n examples, int64 [length(n)], in the order of a pass."""
        positions = self._positions(n)
        order = torch.randperm(positions, generator=generator) if self.shuffle else torch.arange(positions)
        if self.views > 1:
            order = order.repeat_interleave(self.views)[: self.length(n)]
        if self.ranks > 1 and self.own:
            rank = torch.arange(len(order)) % self.ranks
            order = order + (order >= positions - self.own) * rank * self.own
        return order

    def _positions(self, n: int) -> int:
        return n - (self.ranks - 1) * self.own
