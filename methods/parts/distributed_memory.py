"""Exemplars of a run on several processes (ranks): one memory for all, or one a rank.

What "2,000 exemplars" means on several GPUs has made published numbers incomparable: where each rank chooses from its
own augmented views, each may keep other images, and the union is up to as many times the stated budget as there are
ranks (Douillard et al. 2022, erratum). Here the rule is a setting, and `distinct` says what is really held. One
process can hold the memories of many ranks, so that what several GPUs did can be reproduced on one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from methods.core.sampling import Sampling
from methods.parts.exemplars import ExemplarMemory, Policy, Select
from methods.parts.reservoir import even_quotas
from scenarios import Examples, ImageFiles

Sharing = Literal["global", "distributed", "shards", "each"]
"""global: one set, whatever the number of ranks; distributed: each rank chooses budget / ranks from all data by its own
augmented views, and trains on the new data and on what it chose itself (erratum of Douillard et al. 2022); shards: each
chooses budget / ranks from its own shard of the data, so that no image is held twice, and all train on the union; each:
as distributed, but every rank chooses a whole budget, as the first version of DyTox's paper did."""
APART = ("distributed", "each")
"""Sharings in which a rank trains on its own memory."""


class DistributedMemory:
    """The memories of `ranks` processes, together; with sharing "global" there is one.

    budget, policy, select, generator, classes: of `ExemplarMemory`; "distributed" and "shards" deal `budget` out over the
    ranks, the former in equal parts (what does not divide is left out, as in the release).
    Raises ValueError where a rank would get nothing, or nothing of a class, and where it is not said how many there are to be.
    """

    def __init__(
        self,
        budget: int,
        policy: Policy,
        select: Select,
        generator: torch.Generator,
        sharing: Sharing = "global",
        ranks: int = 1,
        classes: int = 1,
    ):
        if sharing == "global":
            ranks = 1
        elif ranks < 2:
            raise ValueError(f"memory: {sharing} is that of several processes; say of how many, e.g. ranks: 2")
        if sharing in ("distributed", "shards") and budget < ranks:
            raise ValueError(f"a memory of {budget} cannot be divided among {ranks} ranks")
        shares = {"distributed": [budget // ranks] * ranks, "shards": even_quotas(budget, ranks)}
        self.sharing, self.generator = sharing, generator
        self.parts = [
            ExemplarMemory(share, policy, select, generator, classes) for share in shares.get(sharing, [budget] * ranks)
        ]

    def update(self, new: Examples, features: Callable[[Examples], Tensor] | None = None) -> None:
        """`ExemplarMemory.update` on each rank. `features` is asked anew for each, so that augmented ones differ."""
        if self.sharing == "shards":
            # torch's DistributedSampler: one permutation, dealt out in turn; without its padding no image goes twice
            order = torch.randperm(len(new), generator=self.generator).to(new.labels.device)
            shards = [new[order[rank :: len(self.parts)]] for rank in range(len(self.parts))]
        else:
            shards = [new] * len(self.parts)
        for part, shard in zip(self.parts, shards, strict=True):
            part.update(shard, features)

    def examples(self) -> Examples:
        """All exemplars of all ranks, rank by rank. Raises ValueError while there are none."""
        return Examples.concatenate([part.examples() for part in self.parts if len(part)])

    def beside(self, new: Examples, views: int = 1) -> tuple[Examples, Sampling]:
        """New data with the exemplars, and how a pass goes over them: each rank reads the new data and its own memory, or
        all of them the one that they share. views: of each image, see `Sampling`."""
        if not len(self):
            return new, Sampling(views=views)
        return Examples.concatenate([new, self.examples()]), self._sampling(views=views)

    def in_order(self, ranks: int) -> tuple[Examples, Sampling]:
        """All exemplars, and a pass in which each of `ranks` processes reads its own memory, or the one that they share,
        from the first to the last."""
        return self.examples(), self._sampling(shuffle=False, views=ranks, all_views=True)

    def _sampling(self, **how: int | bool) -> Sampling:
        own = len(self.parts[0]) if self.sharing in APART else 0
        return Sampling(**how, ranks=len(self.parts) if own else 1, own=own)  # type: ignore[arg-type]

    def of(self, label: int) -> Examples:
        """The exemplars of a label. Raises KeyError where there are none."""
        found = [part.of(label) for part in self.parts if label in part.classes]
        if not found:
            raise KeyError(f"no exemplars of label {label}")
        return Examples.concatenate(found)

    @property
    def classes(self) -> list[int]:
        """Labels that have exemplars, in order of arrival."""
        return list(dict.fromkeys(label for part in self.parts for label in part.classes))

    @property
    def distinct(self) -> int:
        """Different images held over all ranks."""
        if len(self.parts) == 1 or not len(self):
            return len(self)
        images = self.examples().images
        return len(images.rows.unique() if isinstance(images, ImageFiles) else images.flatten(1).unique(dim=0))

    @property
    def overlap(self) -> float:
        """Share of a rank's exemplars that others hold too, 0 to 1: with two ranks, common ones / those of one."""
        ranks, held = len(self.parts), len(self)
        return (held - self.distinct) / (held * (1 - 1 / ranks)) if ranks > 1 and held else 0.0

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)
