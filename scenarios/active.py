"""Active classes: the output columns over which the loss or the answer of an example is taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

EVERY = slice(0, None)


@dataclass(frozen=True, eq=False)
class ActiveClasses:
    """The same `columns` for all examples or, where `mask` is given, each example's own.

    columns: a slice of the output columns, by default all that exist; mask: bool [N, columns], a row an example.
    Scores are [N, C], C being the columns that exist: what a mask says of later ones is left out.
    """

    columns: slice = field(default_factory=partial(slice, 0, None))
    mask: Tensor | None = None

    @property
    def start(self) -> int:
        """The output column that column 0 of `select` is."""
        return self.columns.start

    def select(self, scores: Tensor, inactive: float | None = None) -> Tensor:
        """Scores [N, C] -> those of the shared columns, [N, active]; where examples have their own, [N, C] with
        `inactive` in place of the others, the lowest finite value where none is given (softmax then gives them 0)."""
        if self.mask is None:
            return scores if self.columns == EVERY else scores[:, self.columns]
        return self.fill(scores, inactive)

    def fill(self, scores: Tensor, inactive: float | None = None) -> Tensor:
        """Scores [N, C] -> [N, C], those of classes that are not active replaced as in `select`."""
        if inactive is None:
            inactive = torch.finfo(scores.dtype).min
        return scores.masked_fill(~self.mask_of(scores), inactive)

    def mask_of(self, scores: Tensor) -> Tensor:
        """Which of the scores [N, C] are active: bool [N, C]."""
        if self.mask is not None:
            return self.mask[:, : scores.shape[1]]
        mask = torch.zeros_like(scores, dtype=torch.bool)
        mask[:, self.columns] = True
        return mask

    def mean(self, terms: Tensor) -> Tensor:
        """The mean [] of the terms [N, C] of active classes."""
        if self.mask is None:
            return terms[:, self.columns].mean()
        mask = self.mask_of(terms)
        return (terms * mask).sum() / mask.sum()

    def joined_by(self, others: Tensor) -> ActiveClasses:
        """With each example's classes in `others`, bool [N, C], where examples have their own."""
        return self if self.mask is None else ActiveClasses(mask=self.mask_of(others) | others)

    def answers(self, scores: Tensor) -> Tensor:
        """The active class of the highest score: scores [N, C] -> output columns int64 [N]."""
        return self.select(scores).argmax(1) + self.start


ALL = ActiveClasses()
"""Every class that has a column."""
