"""A class-balanced memory of exemplars, chosen by herding or at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.parts.reservoir import draw, even_quotas
from models import ranks
from scenarios import Examples

Policy = Literal["total", "per_class"]
Select = Literal["herding", "random"]


def herd(features: Tensor, m: int) -> Tensor:
    """min(m, n) different rows of `features` [n, d] whose mean stays nearest to the mean of all, best first; int64.

    The greedy rule of iCaRL (Rebuffi et al. 2017, Algorithm 4): with rows of length 1 and their mean mu, the k-th
    choice x has the least |mu - (S + x) / k|, S being the sum of those before. What is chosen k-th does not depend on
    m, so a prefix of the choice is the choice of fewer. On the CPU in double precision: the same on every device.
    """
    x = F.normalize(features.detach().to("cpu", torch.float64), dim=1)
    n = len(x)
    mean, total = x.mean(0), x.new_zeros(x.shape[1])
    squares = x.square().sum(1)
    free = torch.ones(n, dtype=torch.bool)
    chosen = torch.empty(min(m, n), dtype=torch.int64)
    for k in range(len(chosen)):
        # k^2 |mu - (S + x)/k|^2 = |x|^2 - 2 x.(k mu - S) + what is the same for all x
        scores = 2 * (x @ ((k + 1) * mean - total)) - squares
        best = int(scores.masked_fill(~free, -torch.inf).argmax())
        chosen[k] = best
        free[best] = False
        total += x[best]
    return chosen


class ExemplarMemory:
    """Exemplars of every class seen, each class in the order in which it was chosen.

    budget, policy: "total": `budget` exemplars in all, dealt out over the classes as evenly as integers allow, so
    that old classes shrink when new ones come; "per_class": `budget` for each class. A class with fewer examples than
    its share leaves the rest unused. Where tasks share labels, each task's class has a share of its own.
    classes: how many there will be, where that is known. Raises ValueError where some would have no exemplar.
    """

    def __init__(self, budget: int, policy: Policy, select: Select, generator: torch.Generator, classes: int = 1):
        if budget < 1:
            raise ValueError(f"a memory needs room for at least one exemplar, not {budget}")
        if policy == "total" and budget < classes:
            raise ValueError(f"buffer_size: {budget} exemplars leave some of {classes} classes without one")
        self.budget, self.policy, self.select, self.generator = budget, policy, select, generator
        self._groups: dict[tuple[int, int], Examples] = {}

    def update(self, new: Examples, features: Callable[[Examples], Tensor] | None = None) -> None:
        """Chooses exemplars of those classes of `new` that are not yet stored, and cuts the old ones to their share.

        features: examples -> [n, d], asked once for all of them; herding needs it.
        """
        ids = torch.stack([new.task_ids, new.labels], dim=1)
        classes = [(task, label) for task, label in ids.unique(dim=0).tolist() if (task, label) not in self._groups]
        n = len(self._groups) + len(classes)
        quotas = even_quotas(self.budget, n) if self.policy == "total" else [self.budget] * n
        for (key, old), quota in zip(list(self._groups.items()), quotas, strict=False):
            if len(old) > quota:
                self._groups[key] = old[torch.arange(quota, device=old.labels.device)]
        groups = [((ids[:, 0] == task) & (ids[:, 1] == label)).nonzero().flatten() for task, label in classes]
        chosen = self._choose(new, groups, quotas[len(self._groups) :], features) if groups else []
        for key, own, rows in zip(classes, groups, chosen, strict=True):
            self._groups[key] = new[own[ranks.agreed(rows).to(own.device)]]

    def _choose(
        self,
        new: Examples,
        groups: Sequence[Tensor],
        quotas: Sequence[int],
        features: Callable[[Examples], Tensor] | None,
    ) -> list[Tensor]:
        """Rows of each of `groups`, which are rows of `new`, best first, as many as `quotas` say."""
        sizes = [len(own) for own in groups]
        if self.select == "random":
            return [draw(size, quota, self.generator) for size, quota in zip(sizes, quotas, strict=True)]
        if features is None:
            raise ValueError("herding needs features")
        every = features(new[torch.cat(list(groups))]).split(sizes)
        return [herd(own, quota) for own, quota in zip(every, quotas, strict=True)]

    def examples(self) -> Examples:
        """All exemplars, class by class in order of arrival. Raises ValueError while there are none."""
        return Examples.concatenate([e for e in self._groups.values() if len(e)])

    def of(self, label: int) -> Examples:
        """The exemplars of a label, of every task that has it. Raises KeyError where there are none."""
        found = [e for (_, own), e in self._groups.items() if own == label and len(e)]
        if not found:
            raise KeyError(f"no exemplars of label {label}")
        return Examples.concatenate(found)

    @property
    def classes(self) -> list[int]:
        """Labels that have exemplars, in order of arrival."""
        return list(dict.fromkeys(label for (_, label), e in self._groups.items() if len(e)))

    def __len__(self) -> int:
        return sum(len(e) for e in self._groups.values())

    @property
    def nbytes(self) -> int:
        return sum(e.nbytes for e in self._groups.values())
