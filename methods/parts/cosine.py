"""What methods with cosine heads share (UCIR, PODNet): imprinting, old rows held fixed, fine-tuning of the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.core.method import Method
from methods.parts.features import features_of
from models import MultiHead
from models.cosine_heads import CosineHead
from scenarios import Examples
from scenarios.seeding import seed_for


def layers(head: nn.Module) -> list[CosineHead]:
    """The cosine layers of a head: one, or one a task."""
    return list(head.layers) if isinstance(head, MultiHead) else [head]  # type: ignore[arg-type, list-item]


def column_scales(head: nn.Module) -> Tensor:
    """The learned scale of each column, [columns]: logits divided by it are cosines."""
    return torch.cat([layer.scale.expand(layer.n_outputs) for layer in layers(head)])


def imprint_new(method: Method, train: Examples) -> None:
    """Starts the columns that the current task is the first to have from the features of its data."""
    new, head = method.layout.new_columns(method.task.id), method.network.head
    if new.start == new.stop:
        return
    features, seed = features_of(method, train), seed_for(method.seed, "proxies", method.task.id)
    labels = train.labels.to(method.device)
    if isinstance(head, MultiHead):
        layers(head)[method.task.id].imprint(features, labels - new.start, seed)
    else:
        head.imprint(features, labels, seed)


class FixedRows:
    """The rows of a cosine head's first `columns` columns, put back after every step."""

    def __init__(self, head: CosineHead, columns: int):
        self._kept: list[tuple[nn.Parameter, Tensor]] = []
        left = columns * head.proxies
        for rows in head.rows:
            n = min(left, len(rows))
            if n:
                self._kept.append((rows, rows.detach()[:n].clone()))
            left -= n

    @torch.no_grad()
    def restore(self) -> None:
        for rows, kept in self._kept:
            rows[: len(kept)] = kept


def fix_old_rows(method: Method) -> FixedRows | None:
    """Holds the rows of old classes that are active beside the new ones; None where there are none."""
    old = method.layout.rivals(method.task.id)
    return FixedRows(method.network.head, old.stop) if old.start < old.stop else None
