"""Networks: backbones, output layers and those that grow."""

from __future__ import annotations

import math
from functools import partial

from torch import nn

from models.gated import GatedNetwork
from models.heads import HeadLayer, LinearHead, MultiHead, drawn
from models.mlp import MLP
from models.network import Network
from models.progressive import ProgressiveNetwork
from models.ranks import divide
from models.separate import SeparateNetworks, in_columns
from models.settings import RESNETS, ModelSettings
from models.timm_backbone import PREFIX, TimmBackbone
from models.vae import VAE


def build_backbone(settings: ModelSettings, image_shape: tuple[int, int, int]) -> nn.Module:
    """The feature extractor alone, with `features`, its width: float [N, C, H, W] -> [N, features].

    Draws from torch's default generator: seed it first.
    """
    channels, _, side = image_shape
    if settings.backbone == "mlp":
        return divide(MLP(math.prod(image_shape), settings.hidden, settings.last_relu))
    if settings.backbone.startswith(PREFIX):
        return divide(TimmBackbone(settings.backbone, side, channels, settings.pretrained))
    make = RESNETS[settings.backbone]
    return divide(make(settings.width, channels, settings.zero_init_last_bn, settings.last_relu))


def build_network(
    settings: ModelSettings,
    image_shape: tuple[int, int, int],
    head: str,
    widths: list[int],
    start: int,
    head_layer: HeadLayer | None = None,
) -> Network:
    """Backbone and head. `head`: a resolved name; `widths`: columns a task; `start`: columns before the first task.

    head_layer: makes the output layer, or with a multi-head one the layer of each task, from (features, columns),
    e.g. `CosineHead` or `partial(MultiProxyHead, proxies=10)`; None: linear.
    Draws from torch's default generator: seed it first.
    """
    backbone = build_backbone(settings, image_shape)
    width = int(backbone.features)  # type: ignore[arg-type]  # every backbone has it
    if head == "multi":
        layer: nn.Module = MultiHead(width, widths, head_layer or partial(drawn, init=settings.head_init))
    elif head_layer is None:
        layer = LinearHead(width, start, init=settings.head_init)
    else:
        layer = head_layer(width, start)
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
    "HeadLayer",
    "LinearHead",
    "ModelSettings",
    "MultiHead",
    "Network",
    "ProgressiveNetwork",
    "SeparateNetworks",
    "TimmBackbone",
    "build_backbone",
    "build_network",
    "in_columns",
    "xavier",
]
