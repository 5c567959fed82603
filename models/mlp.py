"""Multi-layer perceptron over flattened pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.settings import FORMER, FeatureSettings


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
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < last or self.last_relu:
                x = torch.relu(x)
        return x


class MLPSettings(FeatureSettings):
    """Fully connected ReLU layers over flattened pixels."""

    backbone: Literal["mlp"] = "mlp"
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (256, 256), min_length=1, description="widths of the hidden layers, at least one"
    )
    last_relu: bool = Field(True, description="false leaves out the last ReLU, for cosine heads (Hou et al. 2019)")

    added_later: ClassVar[frozenset[str]] = FeatureSettings.added_later | {"last_relu"}
    former_values: ClassVar[dict[str, Any]] = {k: FORMER[k] for k in ("width", "zero_init_last_bn", "pretrained")}
    always_named: ClassVar[tuple[str, ...]] = ("hidden", "init")

    def build(self, image_shape: tuple[int, int, int]) -> MLP:
        return MLP(math.prod(image_shape), self.hidden, self.last_relu)
