"""Features of a network that is not learning them at the moment."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import Batch, Method


def still_features(method: Method, x: Tensor) -> Tensor:
    """Features [N, d] of x with the backbone as at test and without gradients: nothing in it changes.

    A phase that trains only the head uses it, so that running statistics stay as bit-identical as weights do.
    """
    backbone = method.network.backbone
    learning = backbone.training
    backbone.eval()
    with torch.no_grad():
        features = backbone(x)
    backbone.train(learning)
    return features


def head_logits(method: Method, batch: Batch) -> Tensor:
    """Logits of a phase that trains only the head: the backbone stays as it is, running statistics included."""
    return method.network.classify(still_features(method, batch.x))
