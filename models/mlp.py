"""Multi-layer perceptron over flattened pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected ReLU layers; the output of the last one is the feature vector.

    `features` is its width. last_relu=False leaves out the ReLU after the last layer, so that features may be
    negative. forward: [N, C, H, W] -> [N, features].
    """

    def __init__(self, inputs: int, hidden: Sequence[int], last_relu: bool = True):
        super().__init__()
        if not hidden:
            raise ValueError("an MLP needs at least one hidden layer, e.g. hidden: [256, 256]")
        sizes = [inputs, *hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.features = sizes[-1]
        self.last_relu = last_relu

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        x = self.layers[-1](x)
        return torch.relu(x) if self.last_relu else x
