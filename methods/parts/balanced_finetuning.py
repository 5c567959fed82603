"""Exemplars of a transformer with task tokens, and the phase that is trained on them alone (Douillard et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from methods.core.evaluation import evaluation_mode
from methods.core.method import Batch, Method
from methods.core.recipe import Phase
from methods.core.sampling import Sampling
from scenarios import Examples

HERDING = 1000
"""Stands for a phase where augmentation draws its numbers."""


@torch.no_grad()
def embeddings(method: Method, examples: Examples, augmented: bool) -> Tensor:
    """[N, d]: the concatenated task embeddings, by which exemplars are herded; of images as the recipe (or, for files,
    their transform) augments them, anew at every call, or as at test."""
    with evaluation_mode(method.network):
        batches = method.batches(examples, augmented_files=augmented)
        return torch.cat([method.network.embed(batch.x).float() for batch in batches])


def herded(method: Method, memory: Any, new: Examples, augmented: bool) -> None:
    """Chooses exemplars of the new classes for `memory` by their embeddings; each rank of it sees views of its own."""
    if augmented:
        method.augmenter.start(method.task.id, HERDING)
    memory.update(new, lambda examples: embeddings(method, examples, augmented))
    method.augmenter.stop()


def finetuning_phase(
    method: Method,
    data: Examples,
    epochs: int,
    lr: float,
    frozen: Collection[str],
    loss: Callable[[Batch], Tensor],
    sampling: Sampling | None = None,
) -> Phase:
    """A phase "finetune" on `data` at the constant rate `lr` x the recipe's, the parameter groups `frozen` left alone.

    sampling: None as the recipe has it; one that is in order leaves out a smaller last batch, where there is a whole one.
    """
    method.network.freeze(*frozen)
    optimizer = method.recipe.optimizer
    changes: dict[str, Any] = {"optimizer": optimizer.model_copy(update={"lr": optimizer.lr * lr})}
    if sampling is not None:
        whole = sampling.length(len(data)) > method.recipe.batch_size
        changes |= {"sampling": sampling, "drop_last": whole}
    return method.phase(data, name="finetune", loss=loss, epochs=epochs, steps=None, schedule="constant", **changes)
