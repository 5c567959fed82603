"""Networks: backbones, output layers and those that grow."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.gated import GatedNetwork
from models.heads import LinearHead, MultiHead
from models.mlp import MLP
from models.network import Network
from models.progressive import ProgressiveNetwork
from models.separate import SeparateNetworks, in_columns
from models.vae import VAE


class ModelSettings(BaseModel):
    """What network a cell trains."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    backbone: Literal["mlp"] = Field("mlp", description="feature extractor")
    hidden: tuple[int, ...] = Field((256, 256), description="widths of the MLP's layers")
    head: str = Field("auto", description='"auto" for the setting\'s own, else multi, masked, growing or shared')
    init: Literal["torch", "xavier"] = Field(
        "torch", description='initial weights: "torch" (its uniform default) or "xavier" uniform, biases 0'
    )

    added_later: ClassVar[frozenset[str]] = frozenset()
    """Settings whose default is what was done before they existed: with it, older records stay valid."""


def build_network(settings: ModelSettings, image_shape: tuple[int, int, int], head: str, widths: list[int], start: int):
    """Backbone and head. `head`: a resolved name; `widths`: columns a task; `start`: columns before the first task.

    Draws from torch's default generator: seed it first.
    """
    backbone = MLP(math.prod(image_shape), settings.hidden)
    layer = MultiHead(backbone.features, widths) if head == "multi" else LinearHead(backbone.features, start)
    network = Network(backbone, layer)
    if settings.init == "xavier":
        xavier(network)
    return network


def xavier(network: nn.Module) -> None:
    """Glorot & Bengio 2010, uniform, for every linear layer; biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


__all__ = [
    "MLP",
    "VAE",
    "GatedNetwork",
    "LinearHead",
    "ModelSettings",
    "MultiHead",
    "Network",
    "ProgressiveNetwork",
    "SeparateNetworks",
    "build_network",
    "in_columns",
    "xavier",
]
