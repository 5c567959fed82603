"""Low-rank updates of the attention of a fixed vision transformer (Hu et al. 2022, LoRA).

N images, P tokens, d their width, r the rank of an update. An update of a layer's matrix is up @ down, down [r, d] and up
[d, r]; each task adds one to two of the three parts of timm's `qkv` layer, and those of earlier tasks are fixed.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.vision_transformer import fixed_transformer

PARTS = ("query", "key", "value")
"""Of timm's qkv layer, in the order of its columns."""


class LowRankQKV(nn.Module):
    """timm's `qkv` layer, fixed, whose `parts` get the sum over tasks of up @ down @ x. [N, P, d] -> [N, P, 3 d].

    downs, ups: by part, an update a task.
    """

    def __init__(self, qkv: nn.Linear, parts: tuple[str, str]):
        super().__init__()
        self.qkv = qkv.requires_grad_(False)
        self.downs: Any = nn.ModuleDict({part: nn.ParameterList() for part in parts})
        self.ups: Any = nn.ModuleDict({part: nn.ParameterList() for part in parts})

    def add(self, rank: int) -> None:
        """A new update of each part, 0 as it starts; the others are fixed."""
        width, columns = self.qkv.in_features, self.qkv.out_features // 3
        for part, downs in self.downs.items():
            down, up = torch.empty(rank, width), torch.zeros(columns, rank)
            nn.init.kaiming_uniform_(down, a=math.sqrt(5))
            for kept, new in ((downs, down), (self.ups[part], up)):
                kept.requires_grad_(False)
                kept.append(nn.Parameter(new))

    def forward(self, x: Tensor) -> Tensor:
        columns = list(self.qkv(x).chunk(3, dim=-1))
        for part, downs in self.downs.items():
            if len(downs):
                place = PARTS.index(part)
                columns[place] = columns[place] + self.update(part, x)
        return torch.cat(columns, dim=-1)

    def update(self, part: str, x: Tensor) -> Tensor:
        """[N, P, d] -> what all updates of `part` add to it."""
        down, up = torch.cat(list(self.downs[part])), torch.cat(list(self.ups[part]), dim=1)
        return F.linear(F.linear(x, down), up)


class DecoupledQKV(LowRankQKV):
    """Updates of earlier tasks as directions: magnitude_k * up_k @ down_k / (|up_k| |down_k|), Frobenius norms; the newest
    as it is, times its magnitude (Wu et al. 2025, SD-LoRA, and its release).

    magnitudes [most + 1]: shared by all layers and parts; the last is the newest update's.
    """

    def __init__(self, qkv: nn.Linear, parts: tuple[str, str], magnitudes: nn.Parameter):
        super().__init__(qkv, parts)
        self.magnitudes = magnitudes

    def update(self, part: str, x: Tensor) -> Tensor:
        downs, ups = list(self.downs[part]), list(self.ups[part])
        tiny = torch.finfo(x.dtype).tiny  # an update that has not left 0 has no direction
        scales = [
            m / (u.norm() * d.norm()).clamp(min=tiny) for m, u, d in zip(self.magnitudes, ups[:-1], downs, strict=False)
        ]
        each = zip([*scales, self.magnitudes[-1]], downs, strict=True)
        scale = torch.cat([magnitude.expand(len(down)) for magnitude, down in each])
        return F.linear(F.linear(x, torch.cat(downs)) * scale, torch.cat(ups, dim=1))


def with_low_rank(backbone: nn.Module, parts: tuple[str, str], magnitudes: nn.Parameter | None = None) -> nn.Module:
    """The backbone, fixed, with a `LowRankQKV` in every block, or with `magnitudes` a `DecoupledQKV`. Raises ValueError
    where it is no plain vision transformer."""
    backbone, transformer = fixed_transformer(backbone)
    for block in transformer.blocks:
        qkv = block.attn.qkv
        block.attn.qkv = LowRankQKV(qkv, parts) if magnitudes is None else DecoupledQKV(qkv, parts, magnitudes)
    return backbone


def low_rank_layers(network: nn.Module) -> list[LowRankQKV]:
    """Those of a network, from the first block on."""
    return [m for m in network.modules() if isinstance(m, LowRankQKV)]
