"""What a suite says of the network that a cell trains."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.heads import HeadInit
from models.resnet import cifar_resnet18, cifar_resnet32, imagenet_resnet18
from models.timm_backbone import PREFIX, check_name
from scenarios.nearest import nearest

RESNETS = {"resnet18": cifar_resnet18, "resnet32": cifar_resnet32, "imagenet_resnet18": imagenet_resnet18}
BACKBONES = ("mlp", *RESNETS)


class ModelSettings(BaseModel):
    """What network a cell trains."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    backbone: str = Field(
        "mlp",
        description="feature extractor: mlp; resnet18 or resnet32 (32x32 images); imagenet_resnet18; timm:NAME",
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((256, 256), description="widths of the MLP's layers")
    width: float = Field(1.0, gt=0, description="ResNets: multiplies the channels")
    zero_init_last_bn: bool = Field(False, description="ResNets: blocks start as their shortcuts (Goyal et al. 2017)")
    last_relu: bool = Field(
        True, description="mlp, ResNets: false leaves out the last ReLU, for cosine heads (Hou et al. 2019)"
    )
    pretrained: bool = Field(False, description="timm: published weights, fetched where they are not cached")
    head: str = Field("auto", description='"auto" for the setting\'s own, else multi, masked, growing or shared')
    init: Literal["torch", "xavier"] = Field(
        "torch", description='linear layers: "torch" (its uniform default) or "xavier" uniform, biases 0'
    )

    head_init: HeadInit = Field(
        "torch",
        description='rows of a linear output layer, also those that come later: "torch" (nn.Linear\'s draw), or "unit" '
        "(of length 1 on average, biases 0: PyCIL's SimpleLinear)",
    )

    added_later: ClassVar[frozenset[str]] = frozenset(
        {"head_init", "width", "zero_init_last_bn", "last_relu", "pretrained"}
    )
    """Settings whose default is what was done before they existed: with it, older records stay valid."""

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name.startswith(PREFIX):
            check_name(name.removeprefix(PREFIX))
        elif name not in BACKBONES:
            otherwise = f"use {', '.join(BACKBONES)} or {PREFIX}NAME"
            raise ValueError(f"unknown backbone {name!r}{nearest(name, BACKBONES, otherwise)}")
        return name

    @model_validator(mode="after")
    def _belong_to_the_backbone(self):
        """A setting that the backbone would ignore is a mistake, so it is said."""
        problems = []
        if self.backbone == "mlp" and not self.hidden:
            problems.append("hidden: an MLP needs at least one hidden layer, e.g. [256, 256]")
        owners = {
            "width": RESNETS,
            "zero_init_last_bn": RESNETS,
            "last_relu": BACKBONES,
            "pretrained": (f"{PREFIX}NAME",),
        }
        for name, owner in owners.items():
            changed = getattr(self, name) != type(self).model_fields[name].default
            kind = f"{PREFIX}NAME" if self.backbone.startswith(PREFIX) else self.backbone
            if changed and kind not in owner:
                problems.append(f"{name} belongs to {', '.join(owner)}, not to {self.backbone}")
        if problems:
            raise ValueError("; ".join(problems))
        return self
