"""The vision transformer of timm that is in a backbone, for what adds small parts to its blocks."""

from __future__ import annotations

from typing import Any

from torch import nn

from models.frozen import Frozen, Resized
from models.ranks import divide
from models.settings import ModelSettings


def fixed_transformer(backbone: nn.Module) -> tuple[nn.Module, Any]:
    """`backbone` with all its parameters fixed, but open to the gradients of parts that are added; and the transformer in it.

    backbone: of `timm:NAME`, frozen or not, with images made another size or not. Raises ValueError where NAME is no
    vision transformer of timm's plain kind.
    """
    from timm.layers import Attention
    from timm.models.vision_transformer import Block, VisionTransformer

    opened = thawed(backbone).requires_grad_(False)
    inner: Any = opened.backbone if isinstance(opened, Resized) else opened
    model = getattr(inner, "model", inner)
    if not isinstance(model, VisionTransformer):
        raise ValueError(
            f"adapters, prompts and low-rank updates want a vision transformer of timm (timm:vit_...), not {type(model).__name__}"
        )
    if not all(type(b) is Block and type(b.attn) is Attention and b.attn.gate is None for b in model.blocks):
        raise ValueError("a vision transformer with timm's plain blocks and attention is wanted (timm:vit_...)")
    return opened, model


def check_transformer(who: str, model: ModelSettings) -> None:
    """Raises ValueError where settings name no vision transformer of timm, so that it is said before anything is built."""
    kind, _, name = model.backbone.partition(":")
    if kind == "timm":
        import timm

        if timm.model_entrypoint(name.partition(".")[0]).__module__ == "timm.models.vision_transformer":
            return
    raise ValueError(
        f"{who} adapts a vision transformer of timm, not {model.backbone}; a method of a suite can have a network of its own: "
        '`model: {backbone: "timm:vit_small_patch14_dinov2"}`'
    )


def thawed(backbone: nn.Module) -> nn.Module:
    """What `frozen: true` has wrapped, still without gradients of its own; `backbone` itself where nothing is wrapped."""
    return divide(backbone.backbone) if isinstance(backbone, Frozen) else backbone
