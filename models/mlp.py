"""Multi-layer perceptron over flattened pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected ReLU layers; the output of the last one is the feature vector.

    `features` is its width. forward: [N, C, H, W] -> [N, features].
    """

    def __init__(self, inputs: int, hidden: Sequence[int]):
        super().__init__()
        if not hidden:
            raise ValueError("an MLP needs at least one hidden layer, e.g. hidden: [256, 256]")
        sizes = [inputs, *hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.features = sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x
