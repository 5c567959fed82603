"""Small trained parts of a fixed vision transformer: adapters, scale and shift, prompts.

Each takes timm's own blocks and puts something beside them, before or behind; none repeats them. N images, P tokens, d
their width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.vision_transformer import fixed_transformer


class Adapter(nn.Module):
    """scale * up(relu(down(x))), [N, P, d] -> the same; 0 as it starts (Chen et al. 2022, AdaptFormer, without its norm).

    In training a tenth of the bottleneck is dropped.
    """

    def __init__(self, width: int, bottleneck: int = 64, scale: float = 0.1, dropout: float = 0.1):
        super().__init__()
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.scale, self.dropout = scale, nn.Dropout(dropout)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.up(self.dropout(F.relu(self.down(x))))


class AdaptedBlock(nn.Module):
    """timm's Block with adapters beside its MLP, from the same tokens; `chosen` is in use, none where it is None."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block: nn.Module = block
        self.adapters = nn.ModuleList()
        self.chosen: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        b = self.block
        x = x + b.drop_path1(b.ls1(b.attn(b.norm1(x))))  # type: ignore[operator]
        mlp = b.drop_path2(b.ls2(b.mlp(b.norm2(x))))  # type: ignore[operator]
        return x + mlp if self.chosen is None else x + mlp + self.adapters[self.chosen](x)


class AdaptedTransformer(nn.Module):
    """A fixed transformer and sets of adapters, one for each block; the newest set learns.

    forward: float [N, C, H, W] -> features [N, features] with the newest set, without one where there is none.
    Raises ValueError where `backbone` is no plain vision transformer.
    """

    def __init__(self, backbone: nn.Module, bottleneck: int = 64, scale: float = 0.1):
        super().__init__()
        self.backbone, transformer = fixed_transformer(backbone)
        self.features = int(backbone.features)  # type: ignore[arg-type]  # every backbone has it
        self.width, self.bottleneck, self.scale = int(transformer.embed_dim), bottleneck, scale
        transformer.blocks = nn.Sequential(*(AdaptedBlock(block) for block in transformer.blocks))

    @property
    def blocks(self) -> list[AdaptedBlock]:
        return [m for m in self.modules() if isinstance(m, AdaptedBlock)]

    @property
    def sets(self) -> int:
        return len(self.blocks[0].adapters)

    def add(self) -> None:
        """Adds a set of adapters that learns; the others no longer do."""
        for block in self.blocks:
            block.adapters.requires_grad_(False)
            block.adapters.append(Adapter(self.width, self.bottleneck, self.scale))

    def forward(self, x: Tensor) -> Tensor:
        return self.features_with(x, self.sets - 1 if self.sets else None)

    def features_with(self, x: Tensor, chosen: int | None) -> Tensor:
        """Features [N, features] with that set, from 0; None: those of the backbone itself."""
        for block in self.blocks:
            block.chosen = chosen
        return self.backbone(x)


class ScaleShift(nn.Module):
    """x * scale + shift over the last dimension (Lian et al. 2022, SSF); drawn around 1 and 0."""

    def __init__(self, width: int):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width).normal_(1, 0.02))
        self.shift = nn.Parameter(torch.empty(width).normal_(0, 0.02))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def with_scale_and_shift(backbone: nn.Module) -> nn.Module:
    """The backbone, fixed, with a `ScaleShift` behind its patch embedding, every norm and every linear layer."""
    backbone, transformer = fixed_transformer(backbone)
    width = int(transformer.embed_dim)
    places = [(transformer.patch_embed, "norm", width), (transformer, "norm", width)]
    for block in transformer.blocks:
        places += [(block, "norm1", width), (block, "norm2", width)]
        places += [(block.attn, name, getattr(block.attn, name).out_features) for name in ("qkv", "proj")]
        places += [(block.mlp, name, getattr(block.mlp, name).out_features) for name in ("fc1", "fc2")]
    for owner, name, columns in places:
        setattr(owner, name, nn.Sequential(getattr(owner, name), ScaleShift(columns)))
    return backbone


class AppendPrompts(nn.Module):
    """[N, P, d] -> [N, P + length, d], the same learned tokens behind those of every image; zeros as they start."""

    def __init__(self, length: int, width: int):
        super().__init__()
        self.prompts = nn.Parameter(torch.zeros(length, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.prompts.to(x.dtype).expand(len(x), -1, -1)], dim=1)


class DropPrompts(nn.Module):
    """[N, P + length, d] -> [N, P, d]."""

    def __init__(self, length: int):
        super().__init__()
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : -self.length]


def with_prompts(backbone: nn.Module, length: int, deep: bool) -> nn.Module:
    """The backbone, fixed, with `length` prompts that enter its first block or, `deep`, new ones before every block and
    gone behind it (Jia et al. 2022, visual prompt tuning: shallow and deep)."""
    backbone, transformer = fixed_transformer(backbone)
    width, blocks = int(transformer.embed_dim), list(transformer.blocks)
    groups = [[block] for block in blocks] if deep else [blocks]
    around = [nn.Sequential(AppendPrompts(length, width), *group, DropPrompts(length)) for group in groups]
    transformer.blocks = nn.Sequential(*around)
    return backbone
