"""What a suite says of the network that a cell trains: what is common to all kinds of networks.

Each kind is a subclass, which stands beside its network, and a line of `models.BACKBONES`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from models.heads import HeadInit

FORMER = {"hidden": [256, 256], "width": 1.0, "zero_init_last_bn": False, "last_relu": True, "pretrained": False}
"""What records hold of the settings of other backbones than their own: once all backbones had the same ones."""


class ModelSettings(BaseModel):
    """A network's settings; `models.model_settings` reads them. A kind of network gives `backbone` its names."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    backbone: str
    head: str = Field("auto", description='"auto" for the setting\'s own, else multi, masked, growing or shared')

    added_later: ClassVar[frozenset[str]] = frozenset()
    """Settings whose default is what was done before they existed: with it, older records stay valid."""
    former_values: ClassVar[dict[str, Any]] = {}
    """Values of settings that are no more, with which older records stay valid."""
    always_in_identity: ClassVar[dict[str, Any]] = {}
    """Former settings that have stayed part of identities."""
    not_in_identity: ClassVar[frozenset[str]] = frozenset()
    """Settings that decide nothing beside others, such as the place of a file whose checksum is a setting."""
    always_named: ClassVar[tuple[str, ...]] = ("init",)
    """Settings that a table names at their defaults too."""
    not_compared: ClassVar[frozenset[str]] = frozenset()
    """Settings that make no other network of it where the joint method is asked for the same one."""
    starts_as: ClassVar[str] = ""
    """Of a network that grows: the backbone that it is at its first task, which the joint method trains to bound it."""

    def build(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """The network for images of (channels, height, width), before its first task.

        Draws from torch's default generator. It has no output columns yet and grows them by `expand(n_outputs)`.
        """
        raise NotImplementedError

    def without_weights(self) -> Self:
        """The same network with weights drawn at random, for which nothing need be fetched."""
        return self


class FeatureSettings(ModelSettings):
    """A feature extractor under one of the output layers of `models.heads`.

    Its `build` gives the extractor alone: float [N, channels, height, width] -> [N, features], with `features`.
    """

    init: Literal["torch", "xavier"] = Field(
        "torch",
        description='linear layers that are there from the start: "torch" (its uniform default) or "xavier" uniform, biases 0; '
        "rows of an output layer that come later: head_init",
    )
    head_init: HeadInit = Field(
        "torch",
        description='rows of a linear output layer, also those that come later: "torch" (nn.Linear\'s draw), or "unit" '
        "(of length 1 on average, biases 0: PyCIL's SimpleLinear)",
    )

    added_later: ClassVar[frozenset[str]] = frozenset({"head_init"})
