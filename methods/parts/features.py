"""Features of a network that is not learning them at the moment, and of stored examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from methods.core.evaluation import evaluation_mode
from methods.core.method import Batch, Method
from methods.core.recipe import Phase
from scenarios import Examples


@torch.no_grad()
def features_of(method: Method, examples: Examples, flipped: bool = False, network: Any = None) -> Tensor:
    """The backbone's features [n, d] of `examples`, float32, in eval mode, in batches; `flipped`: of mirrored images.

    network: another one than the method's present one, e.g. a teacher.
    """
    network = network or method.network
    with evaluation_mode(network):
        features = [
            network.backbone(batch.x.flip(-1) if flipped else batch.x).float() for batch in method.batches(examples)
        ]
    return torch.cat(features)


def frozen_features(method: Method, x: Tensor) -> Tensor:
    """Features [N, d] of x with the backbone as at test and without gradients: nothing in it changes.

    A phase that trains only the head uses it, so that running statistics stay as bit-identical as weights do.
    """
    backbone = method.network.backbone
    with evaluation_mode(backbone), torch.no_grad():
        return backbone(x)


def head_logits(method: Method, batch: Batch) -> Tensor:
    """Logits of a phase that trains only the head, the features being frozen."""
    return method.network.classify(frozen_features(method, batch.x))


def head_phase(
    method: Method, data: Examples, epochs: int, lr: float, loss: Callable[[Batch], Tensor], **schedule: Any
) -> Phase:
    """A phase "finetune" in which the head alone learns from `data`, by the recipe's optimizer at `lr`.

    schedule: "schedule" and its parts, constant where not given.
    """
    return method.phase(
        data,
        name="finetune",
        parameters=list(method.network.head.parameters()),
        epochs=epochs,
        steps=None,
        drop_last=False,
        optimizer=method.recipe.optimizer.model_copy(update={"lr": lr}),
        loss=loss,
        **({"schedule": "constant"} | schedule),
    )
