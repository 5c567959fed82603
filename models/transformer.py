"""Transformer blocks of DyTox and DNE: attention, then a mixer of features, each behind a layer norm.

The mixer is an MLP, or the pair of task-attention layers that DNE puts in its place
(models/task_attention.py): `mixer(features [N, P, d], older) -> output [N, P, d], hidden response [N, P,
gamma d]`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from models.attention import ClassAttention, DropPath, GatedPositionalAttention, Seen, SelfAttention, linear
from models.full_precision import full_precision, widened
from models.patches import ConvStem, ConvTrunk, PatchEmbedding, ResNetTrunk
from models.settings import ModelSettings

EncoderKind = Literal["gpsa", "plain", "conv-stem", "conv-trunk", "resnet18"]
CONVOLUTIONAL = ("conv-trunk", "resnet18")
"""Encoders without attention, whose patch features come of convolutions alone."""


class TransformerSettings(ModelSettings):
    """What the transformers of DyTox and DNE have in common. Their heads are their own, one a task."""

    head: Literal["auto"] = Field("auto", description="they have heads of their own")
    dim: int = Field(384, ge=1, description="width of the (first) transformer; Douillard et al. 2022, CIFAR")
    heads: int = Field(12, ge=1, description="its attention heads; Douillard et al. 2022")
    depth: int = Field(5, ge=1, description="encoder blocks, which a task-attention block follows; Douillard 2022")
    patch: int = Field(
        4,
        ge=1,
        description="pixels along a patch's side: 4 at 32 x 32; ImageNet: 16 in both papers, 32 in DNE's release",
    )
    drop_path: float = Field(
        0.1, ge=0, lt=1, description="of the last block, rises linearly from 0; Douillard et al. 2022"
    )

    always_named: ClassVar[tuple[str, ...]] = ("dim", "heads", "depth", "patch", "encoder")
    not_compared: ClassVar[frozenset[str]] = frozenset({"drop_path", "fused"})


class Mlp(nn.Module):
    """Two linear layers with GELU between. Sees its own expert only."""

    def __init__(self, dim: int, ratio: int):
        super().__init__()
        self.first = linear(dim, ratio * dim)
        self.second = linear(ratio * dim, dim)

    def forward(self, features: Tensor, older: Sequence[Seen] = ()) -> tuple[Tensor, Tensor]:
        hidden = F.gelu(self.first(features))
        return self.second(hidden), hidden


class EncoderBlock(nn.Module):
    """s = x + attention(LN(x)), r = s + mixer(LN(s)) (DNE, eqs. 12-13); DyTox's self-attention block."""

    def __init__(self, dim: int, attention: SelfAttention, mixer: nn.Module, drop_path: float):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), attention
        self.norm2, self.mixer = nn.LayerNorm(dim), mixer
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, older: Sequence[Seen] = ()) -> tuple[Tensor, Seen]:
        """x [N, P, d]; older: earlier experts at this depth. Returns [N, P, d] and what later experts see."""
        attended, keys, values = self.attention(self.norm1(x), older)
        x = x + self.drop_path(attended)
        features = self.norm2(x)
        mixed, hidden = self.mixer(features, older)
        return x + self.drop_path(mixed), seen(keys, values, features, hidden)


class DecoderBlock(nn.Module):
    """DyTox's task-attention block: a task token gathers what it needs from the patches."""

    def __init__(self, dim: int, attention: ClassAttention, mixer: nn.Module, drop_path: float):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), attention
        self.norm2, self.mixer = nn.LayerNorm(dim), mixer
        self.drop_path = DropPath(drop_path)

    def forward(self, token: Tensor, patches: Tensor, older: Sequence[Seen] = ()) -> tuple[Tensor, Seen]:
        """token [N, 1, d], patches [N, P, d] -> task embedding [N, 1, d] and what later experts see."""
        attended, keys, values = self.attention(self.norm1(token), self.norm1(patches), older)
        token = token + self.drop_path(attended)
        features = self.norm2(token)
        mixed, hidden = self.mixer(features, older)
        return token + self.drop_path(mixed), seen(keys, values, features, hidden)

    def all_tokens(self, tokens: Tensor, patches: Tensor) -> Tensor:
        """`forward` of each of T tokens, the patches projected once: [N, T, d], [N, P, d] -> [N, T, d].

        In training, drop path drops all tokens of an image together, where passes one by one would draw for
        each.
        """
        tokens = tokens + self.drop_path(self.attention.all_tokens(self.norm1(tokens), self.norm1(patches)))
        return tokens + self.drop_path(self.mixer(self.norm2(tokens))[0])


def seen(keys: Tensor, values: Tensor, features: Tensor, hidden: Tensor) -> Seen:
    """Splits features and hidden response into heads."""
    heads = keys.shape[1]
    return Seen(keys, values, features.unflatten(-1, (heads, -1)), hidden.unflatten(-1, (heads, -1)))


def drop_path_rates(last: float, blocks: int) -> list[float]:
    """0 for the first block, rising linearly to `last`."""
    return [last * i / max(blocks - 1, 1) for i in range(blocks)]


class Encoder(nn.Module):
    """Patch embedding, learned position embedding and blocks: images -> patch features.

    kind: "gpsa" (ConViT's gated positional blocks), "plain" (self-attention), "conv-stem" (GPSA blocks behind
        a convolutional stem), "conv-trunk" or "resnet18" (convolutional networks and no attention).
    rates: the drop path rate of each block, which also says how many there are.
    mixer: makes the mixer of one block.
    joint, local: of the attention, see models/attention.py.
    width: multiplies the channels of "resnet18".

    Where batches are normalised (`normalises_batches`), it stays in eval mode while `frozen` is set.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        patch: int,
        dim: int,
        heads: int,
        rates: Sequence[float],
        kind: EncoderKind,
        mixer: Callable[[], nn.Module],
        joint: bool = False,
        local: bool = True,
        width: float = 1.0,
    ):
        super().__init__()
        channels, *size = image_shape
        if size[0] % patch or size[1] % patch:
            raise ValueError(f"patches of {patch} pixels do not tile images of {size[0]} x {size[1]}")
        grid = (size[0] // patch, size[1] // patch)
        self.frozen = False
        self.patches = patch_maker(kind, channels, patch, dim, len(rates), width)
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(grid[0] * grid[1], dim), std=0.02))
        self.blocks = nn.ModuleList()
        for rate in rates if kind not in CONVOLUTIONAL else ():
            if kind == "plain":
                attention = SelfAttention(dim, heads, joint)
            else:
                attention = GatedPositionalAttention(dim, heads, grid, joint, local)
            self.blocks.append(EncoderBlock(dim, attention, mixer(), rate))

    @property
    def normalises_batches(self) -> bool:
        return isinstance(self.patches, ResNetTrunk)

    def train(self, mode: bool = True) -> Encoder:
        return super().train(mode and not (self.frozen and self.normalises_batches))

    def forward(self, images: Tensor, older: Sequence[Sequence[Seen]] = ()) -> tuple[Tensor, list[Seen]]:
        """images [N, C, H, W]; older: what earlier experts' blocks show. Returns [N, P, d] and the same."""
        x = self.patches(images) + self.position
        shown = []
        for depth, block in enumerate(self.blocks):
            x, seen_here = block(x, [expert[depth] for expert in older])
            shown.append(seen_here)
        return x, shown


def patch_maker(kind: EncoderKind, channels: int, patch: int, dim: int, depth: int, width: float = 1.0) -> nn.Module:
    if kind == "resnet18":
        return ResNetTrunk(channels, patch, dim, width)
    if kind == "conv-stem":
        return ConvStem(channels, patch, dim)
    if kind == "conv-trunk":
        return ConvTrunk(channels, patch, dim, depth)
    if kind in ("gpsa", "plain"):
        return PatchEmbedding(channels, patch, dim)
    raise ValueError(f"no encoder {kind!r}: gpsa, plain, conv-stem, conv-trunk or resnet18")


class TaskHead(nn.Module):
    """Layer norm and linear layer, the classifier of one task: [N, d] -> float32 [N, outputs]."""

    def __init__(self, dim: int, outputs: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.linear = linear(dim, outputs)

    def forward(self, embedding: Tensor) -> Tensor:
        with full_precision(embedding):
            return self.linear(self.norm(widened(embedding)))


def new_token(tokens: int, dim: int) -> nn.Parameter:
    """Learned task tokens [tokens, d], truncated normal of deviation 0.02."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(tokens, dim), std=0.02))


def freeze_groups(groups: Mapping[str, Sequence[nn.Parameter]], frozen: Collection[str]) -> None:
    """Makes exactly the groups named `frozen` untrainable and all others trainable.

    Raises ValueError for a name that is not a group.
    """
    unknown = sorted(set(frozen) - set(groups))
    if unknown:
        raise ValueError(f"no parameter groups {unknown}; there are {sorted(groups)}")
    for name, parameters in groups.items():
        for parameter in parameters:
            parameter.requires_grad_(name not in frozen)
