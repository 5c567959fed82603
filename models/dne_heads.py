"""DNE's heads: one a task, over the whole concatenated embedding; old logits survive its growth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.full_precision import full_precision, widened
from models.transformer import TaskHead


class ConcatenationHeads(nn.Module):
    """Per-task heads over slices that are added one a task: slices -> logits [N, columns of all tasks].

    Head t has its own layer norm and linear layer over slices 1..t, as the embedding was when the head was
    made. A slice e > t reaches it through new columns, which start at zero. One layer norm over the longer
    embedding would change what the old columns see, and with it the old logits, at the moment of expansion;
    therefore the new slice is normalised by itself (without affine parameters: the columns absorb a gain, the
    head's bias a shift) and its part added to the old part, which is computed as before. Old logits thus stay
    bit for bit.

    per_task: slices hold an embedding for each task token and head t reads the t-th; else all heads read the
        one.
    """

    def __init__(self, per_task: bool):
        super().__init__()
        self.per_task = per_task
        self.sizes: list[int] = []
        self.width = 0
        self.own = nn.ModuleList()
        self.columns = nn.ParameterList()  # of slice e = 2, 3, ...: [outputs of all earlier heads, width]

    def grow(self, width: int, outputs: int) -> None:
        """A slice of `width` more, with zero columns in the old heads, and a head of `outputs` columns."""
        if self.sizes:
            self.columns.append(nn.Parameter(torch.zeros(sum(self.sizes), width)))
        self.width += width
        self.own.append(TaskHead(self.width, outputs))
        self.sizes.append(outputs)

    def forward(self, slices: Sequence[Tensor]) -> Tensor:
        """slices: of each expert [N, passes, width]. Logits are float32."""
        with full_precision(slices[0]):
            return self._logits([widened(s) for s in slices])

    def _logits(self, slices: Sequence[Tensor]) -> Tensor:
        own = [
            head(torch.cat([s[:, t if self.per_task else 0] for s in slices[: t + 1]], dim=-1))
            for t, head in enumerate(self.own)
        ]
        logits = torch.cat(own, dim=1)
        for e, columns in enumerate(self.columns, start=1):
            normalised = F.layer_norm(slices[e], slices[e].shape[-1:])
            rows = columns.split(self.sizes[:e] if self.per_task else sum(self.sizes[:e]))
            added = torch.cat([F.linear(normalised[:, i], weight) for i, weight in enumerate(rows)], dim=1)
            logits = logits + F.pad(added, (0, logits.shape[1] - added.shape[1]))
        return logits
