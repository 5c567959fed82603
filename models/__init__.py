"""Networks: backbones, output layers and those that grow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from models.dne import ExpertTransformerSettings
from models.dytox import TaskTransformerSettings
from models.frozen import Frozen
from models.gated import GatedNetwork
from models.heads import HeadLayer, LinearHead, MultiHead, drawn
from models.identity import IdentitySettings
from models.mlp import MLP, MLPSettings
from models.network import Network
from models.progressive import ProgressiveNetwork
from models.ranks import divide
from models.resnet import ResNetSettings
from models.separate import SeparateNetworks, in_columns
from models.settings import FORMER, FeatureSettings, ModelSettings
from models.timm_backbone import TimmBackbone, TimmSettings
from models.vae import VAE
from scenarios.nearest import nearest

BACKBONES: dict[str, type[ModelSettings]] = {
    "mlp": MLPSettings,
    "resnet18": ResNetSettings,
    "resnet32": ResNetSettings,
    "imagenet_resnet18": ResNetSettings,
    "timm": TimmSettings,
    "identity": IdentitySettings,
    "task-transformer": TaskTransformerSettings,
    "expert-transformer": ExpertTransformerSettings,
}
"""The kinds of networks by what `backbone` says, as far as a colon: a union that `backbone` discriminates."""
EXTRACTORS = tuple(name for name, cls in BACKBONES.items() if issubclass(cls, FeatureSettings))
"""Those that give features, which any output layer can stand on."""


def kind_of(backbone: str) -> str:
    """The name in BACKBONES: "timm" of "timm:vit_tiny_patch16_224"."""
    return backbone.partition(":")[0]


def settings_class(backbone: Any) -> type[ModelSettings]:
    """The class of the settings of a backbone. Raises ValueError with the nearest name."""
    if not isinstance(backbone, str) or kind_of(backbone) not in BACKBONES:
        names = [f"{name}:NAME" if name == "timm" else name for name in BACKBONES]
        raise ValueError(f"unknown backbone {backbone!r}{nearest(str(backbone), names, 'use ' + ', '.join(names))}")
    return BACKBONES[kind_of(backbone)]


def model_settings(document: Mapping[str, Any]) -> ModelSettings:
    """The settings that a suite or a record holds, of the class that its `backbone` names; an MLP where it names none.

    Raises ValueError, pydantic's or one that says whose the settings are that the backbone has not.
    """
    cls = settings_class(document.get("backbone", "mlp"))
    said = {k: v for k, v in document.items() if k in cls.model_fields or k not in FORMER or v != FORMER[k]}
    owners = {k: [name for name, other in BACKBONES.items() if k in other.model_fields] for k in said}
    strangers = [
        f"{k} belongs to {', '.join(names)}, not to {said.get('backbone', 'mlp')}"
        for k, names in owners.items()
        if k not in cls.model_fields and names
    ]
    if strangers:
        raise ValueError("; ".join(strangers))
    return cls.model_validate_json(json.dumps(said))


def build_backbone(settings: FeatureSettings, image_shape: tuple[int, int, int]) -> nn.Module:
    """The feature extractor alone, with `features`, its width: float [N, C, H, W] -> [N, features].

    Draws from torch's default generator: seed it first.
    """
    return divide(settings.build(image_shape))


def build_network(
    settings: ModelSettings,
    image_shape: tuple[int, int, int],
    head: str,
    widths: list[int],
    start: int,
    head_layer: HeadLayer | None = None,
) -> Any:
    """Backbone and head, a `Network`; or a network that has heads of its own, with its `start` columns.

    head: a resolved name; widths: columns a task; start: columns before the first task.
    head_layer: makes the output layer, or with a multi-head one the layer of each task, from (features, columns),
    e.g. `CosineHead` or `partial(MultiProxyHead, proxies=10)`; None: linear.
    Draws from torch's default generator: seed it first.
    Raises ValueError for a head_layer where the network has heads of its own.
    """
    if not isinstance(settings, FeatureSettings):
        if head_layer is not None:
            raise ValueError(f"{settings.backbone} has heads of its own: there is none to put in their place")
        whole: Any = settings.build(image_shape)
        whole.expand(start)
        return whole
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
    "BACKBONES",
    "EXTRACTORS",
    "MLP",
    "VAE",
    "ExpertTransformerSettings",
    "FeatureSettings",
    "Frozen",
    "GatedNetwork",
    "HeadLayer",
    "IdentitySettings",
    "LinearHead",
    "MLPSettings",
    "ModelSettings",
    "MultiHead",
    "Network",
    "ProgressiveNetwork",
    "ResNetSettings",
    "SeparateNetworks",
    "TaskTransformerSettings",
    "TimmBackbone",
    "TimmSettings",
    "build_backbone",
    "build_network",
    "in_columns",
    "kind_of",
    "model_settings",
    "settings_class",
    "xavier",
]
