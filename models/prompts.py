"""A frozen vision transformer with prompts: tokens beside those of an image, or keys and values in chosen blocks.

N images, P tokens of an image, d their width. What is prompted is given anew with every batch and for each image by
itself, so nothing here is trained, and nothing of the transformer changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import merge_heads, split_heads
from models.frozen import Resized
from models.vision_transformer import fixed_transformer

Prefixes = Mapping[int, tuple[Tensor, Tensor]]
"""By block, from 0: keys and values, each [N, length, d], that stand before those of the image's tokens."""


class PromptedTransformer(nn.Module):
    """A vision transformer of timm, frozen and as at test in whatever mode it is put.

    `features` is the width of what it gives, `depth` the number of its blocks.
    """

    def __init__(self, backbone: nn.Module):
        """backbone: of `timm:NAME`, with images made another size or not. Raises ValueError where NAME is no vision
        transformer of timm's plain kind."""
        super().__init__()
        self.features = int(backbone.features)  # type: ignore[arg-type]  # every backbone has it
        opened, self.transformer = fixed_transformer(backbone)
        self.resize: nn.Module = nn.Identity()
        if isinstance(opened, Resized):
            self.resize = opened
            self.resize.backbone = nn.Identity()
        self.train(False)

    @property
    def depth(self) -> int:
        return len(self.transformer.blocks)

    def train(self, mode: bool = True) -> PromptedTransformer:
        return super().train(False)

    def forward(self, x: Tensor, prompts: Tensor | None = None, prefixes: Prefixes | None = None) -> Tensor:
        """Features [N, d] of images x [N, C, H, W]; those of the backbone itself where nothing is prompted.

        prompts [N, length, d]: tokens without positions that enter the first block beside the image's (prompt tuning,
        Lester et al. 2021); the features are then the mean of what becomes of them. prefixes: prefix tuning (Li & Liang
        2021), features as without.
        """
        vit, prefixes = self.transformer, prefixes or {}
        # its forward alone: where ranks divide a batch, this has been done around the choice of prompts
        x = vit.patch_embed(self.resize.forward(x))
        x = vit.norm_pre(vit.patch_drop(vit._pos_embed(x)))
        if prompts is not None:
            x = torch.cat([prompts.to(x.dtype), x], dim=1)
        for index, block in enumerate(vit.blocks):
            x = with_prefix(block, x, *prefixes[index]) if index in prefixes else block(x)
        x = vit.norm(x)
        if prompts is not None:
            return vit.fc_norm(x[:, : prompts.shape[1]].mean(dim=1))
        return vit.forward_head(x, pre_logits=True)


def with_prefix(block: Any, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """timm's `Block` of x [N, P, d], whose tokens also see `keys` with `values`, [N, length, d]."""
    x = x + block.ls1(attend(block.attn, block.norm1(x), keys, values))
    return x + block.ls2(block.mlp(block.norm2(x)))


def attend(attention: Any, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """timm's `Attention` of x [N, P, d] with `keys` and `values` [N, length, d] before those of x.

    They are taken as they are: neither projected nor normalised (Wang et al. 2022, "DualPrompt").
    """
    heads = attention.num_heads
    query, key, value = (split_heads(part, heads) for part in attention.qkv(x).chunk(3, dim=-1))
    query, key = attention.q_norm(query), attention.k_norm(key)
    key = torch.cat([split_heads(keys, heads).to(key.dtype), key], dim=2)
    value = torch.cat([split_heads(values, heads).to(value.dtype), value], dim=2)
    seen = F.scaled_dot_product_attention(query.to(key.dtype), key, value)
    return attention.proj(attention.norm(merge_heads(seen)))


def cosines(query: Tensor, keys: Tensor) -> Tensor:
    """Cosine of each query [N, d] with each key [blocks, M, d]: [N, blocks, M].

    Not a matrix product, which mixed precision would round to three digits: too few to choose by.
    """
    query = query.to(keys.dtype)
    return (F.normalize(query, dim=-1)[:, None, None] * F.normalize(keys, dim=-1)).sum(dim=-1)


def uniform(*shape: int, low: float) -> nn.Parameter:
    """Prompts or keys drawn between `low` and 1."""
    return nn.Parameter(torch.empty(shape).uniform_(low, 1))
