"""Features of a network that is not learning them at the moment."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import Method
from scenarios import Examples


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


def features_of(method: Method, examples: Examples, batch_size: int = 500) -> Tensor:
    """Features float32 [n, d] of stored examples, not augmented, a part at a time."""
    parts = []
    for rows in torch.arange(len(examples), device=examples.labels.device).split(batch_size):
        with method.precision():
            x = method.normalise(examples.images[rows].to(method.device))
            parts.append(still_features(method, x).float())
    return torch.cat(parts)
