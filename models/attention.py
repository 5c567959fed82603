"""Attention of the growing transformers: self-attention, gated positional self-attention, class attention.

N images, P patches, h heads of width D, d = h * D. Each layer also returns its keys and values [N, h, P, D],
and can take those of experts added earlier: with `joint` set, its queries then see the patches of all heads of
all experts in one softmax (the spatial-task attention of Hu et al. 2023, "Dense Network Expansion", figures 2
and 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOCALITY_STRENGTH = 1.0  # how sharply a head looks at its own offset at first (alpha of d'Ascoli et al. 2021)


class Seen(NamedTuple):
    """What one expert's block shows to the blocks, at the same depth, of experts added later."""

    keys: Tensor  # [N, h, P, D]
    values: Tensor  # [N, h, P, D]
    features: Tensor  # [N, P, h, D], what enters its mixer
    hidden: Tensor  # [N, P, h, gamma D], its mixer's intermediate response


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear layer as vision transformers start it: truncated normal weights (0.02), biases 0."""
    layer = nn.Linear(inputs, outputs, bias)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class DropPath(nn.Module):
    """Leaves out a residual branch of an image with probability `rate` in training (Huang et al. 2016)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return branch
        kept = torch.rand(len(branch), *[1] * (branch.dim() - 1), device=branch.device) >= self.rate
        return branch * kept.to(branch.dtype) / (1 - self.rate)


class SelfAttention(nn.Module):
    """Multi-head self-attention without query, key and value biases (Dosovitskiy et al. 2021)."""

    def __init__(self, dim: int, heads: int, joint: bool = False):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide a dimension of {dim}")
        self.heads, self.joint = heads, joint
        self.query_key = linear(dim, 2 * dim, bias=False)
        self.value = linear(dim, dim, bias=False)
        self.output = linear(dim, dim)

    def forward(self, x: Tensor, older: Sequence[Seen] = ()) -> tuple[Tensor, Tensor, Tensor]:
        """x [N, P, d] -> output [N, P, d], keys and values [N, h, P, D]."""
        query, key, value = self._project(x)
        attention = self._attention(query, key, self._visible(older))
        sequence = one_sequence([seen.values for seen in self._visible(older)], value)
        return self.output(merge_heads(attention @ sequence)), key, value

    def weights(self, x: Tensor, older: Sequence[Seen] = ()) -> Tensor:
        """Attention of each patch of each head: [N, h, P, P]; over all H heads [N, h, P, H P], own last."""
        query, key, _ = self._project(x)
        return self._attention(query, key, self._visible(older))

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key = self.query_key(x).chunk(2, dim=-1)
        value = self.value(x)
        return split_heads(query, self.heads), split_heads(key, self.heads), split_heads(value, self.heads)

    def _visible(self, older: Sequence[Seen]) -> Sequence[Seen]:
        return older if self.joint else ()

    def _attention(self, query: Tensor, key: Tensor, older: Sequence[Seen]) -> Tensor:
        return content_attention(query, one_sequence([seen.keys for seen in older], key))


class GatedPositionalAttention(SelfAttention):
    """Gated positional self-attention, initialised to be local (d'Ascoli et al. 2021, "ConViT").

    A = (1 - sigmoid(g)) softmax(q k / sqrt(D)) + sigmoid(g) softmax(w_pos . r), one gate and one w_pos a
    head, where r = (dx, dy, dx^2 + dy^2) is the offset from the query's patch to the key's. The rows sum to
    one as they are, so the paper's renormalisation is left out; so is a bias on w_pos . r, which the softmax
    would cancel. At first values are the features themselves and w_pos looks at one offset a head, or with
    `local` false is random and small, so that position counts for nearly nothing. Under `joint`, only the content term sees the older heads: position is a head's own matter.
    """

    offsets: Tensor

    def __init__(self, dim: int, heads: int, grid: tuple[int, int], joint: bool = False, local: bool = True):
        super().__init__(dim, heads, joint)
        self.position = linear(3, heads, bias=False)
        self.gate = nn.Parameter(torch.ones(heads))
        self.register_buffer("offsets", patch_offsets(grid), persistent=False)
        nn.init.eye_(self.value.weight)
        if local:
            self._start_locally()

    @torch.no_grad()
    def _start_locally(self) -> None:
        """Head (row, column) of the largest square of heads attends at first to the patch at that offset.

        w . r = -alpha |offset - centre|^2 up to a constant. Heads beyond the square keep their random w.
        """
        side = math.isqrt(self.heads)
        centre = (side - 1) / 2
        for head in range(side * side):
            row, column = head // side - centre, head % side - centre
            self.position.weight[head] = LOCALITY_STRENGTH * torch.tensor([2 * column, 2 * row, -1.0])

    def _attention(self, query: Tensor, key: Tensor, older: Sequence[Seen]) -> Tensor:
        content = super()._attention(query, key, older)
        positional = self.position(self.offsets).softmax(dim=1)  # [P, P, h]
        gate = self.gate.sigmoid()
        own = (gate * positional).permute(2, 0, 1)  # [h, P, P]
        if older:
            # Head i's share goes to its own patches, which stand after those of all older heads.
            spread = torch.diag_embed(gate * positional).permute(2, 0, 3, 1)  # [h, P, h, P]
            own = F.pad(spread.flatten(2), (content.shape[-1] - spread[0, 0].numel(), 0))  # [h, P, H P]
        return (1 - gate)[:, None, None] * content + own


class ClassAttention(nn.Module):
    """Attention in which only a token asks, of itself and all patches (Touvron et al. 2021, "CaiT")."""

    def __init__(self, dim: int, heads: int, joint: bool = False):
        super().__init__()
        self.heads, self.joint = heads, joint
        self.query = linear(dim, dim, bias=False)
        self.key = linear(dim, dim, bias=False)
        self.value = linear(dim, dim, bias=False)
        self.output = linear(dim, dim)

    def forward(self, token: Tensor, patches: Tensor, older: Sequence[Seen] = ()) -> tuple[Tensor, Tensor, Tensor]:
        """token [N, 1, d], patches [N, P, d] -> output [N, 1, d], keys and values [N, h, 1 + P, D]."""
        both = torch.cat([token, patches], dim=1)
        key, value = split_heads(self.key(both), self.heads), split_heads(self.value(both), self.heads)
        visible = older if self.joint else ()
        query = split_heads(self.query(token), self.heads)
        attention = content_attention(query, one_sequence([seen.keys for seen in visible], key))
        sequence = one_sequence([seen.values for seen in visible], value)
        return self.output(merge_heads(attention @ sequence)), key, value

    def all_tokens(self, tokens: Tensor, patches: Tensor) -> Tensor:
        """`forward` of each of T tokens, the patches projected once: [N, T, d], [N, P, d] -> [N, T, d].

        A token sees itself and the patches, never another token.
        """
        layers = (self.query, self.key, self.value)
        query, key, value = (split_heads(layer(tokens), self.heads) for layer in layers)
        patch_key, patch_value = (split_heads(layer(patches), self.heads) for layer in layers[1:])
        itself = (query * key).sum(dim=-1, keepdim=True)  # [N, h, T, 1]
        scores = torch.cat([itself, query @ patch_key.transpose(-2, -1)], dim=-1) * query.shape[-1] ** -0.5
        attention = scores.softmax(dim=-1)
        return self.output(merge_heads(attention[..., :1] * value + attention[..., 1:] @ patch_value))


def content_attention(query: Tensor, key: Tensor) -> Tensor:
    """softmax(q k / sqrt(D)) over the last axis: [N, h, Q, D], [N, h or 1, M, D] -> [N, h, Q, M]."""
    return (query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)).softmax(dim=-1)


def one_sequence(older: Sequence[Tensor], own: Tensor) -> Tensor:
    """`own` [N, h, P, D], or with `older` the patches of all heads as one sequence: [N, 1, H P, D]."""
    return torch.cat([*older, own], dim=1).flatten(1, 2).unsqueeze(1) if older else own


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[N, P, h D] -> [N, h, P, D]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """[N, h, P, D] -> [N, P, h D]."""
    return x.transpose(1, 2).flatten(2)


def patch_offsets(grid: tuple[int, int]) -> Tensor:
    """(dx, dy, dx^2 + dy^2) from patch i to patch j of a grid of (rows, columns): [P, P, 3]."""
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in grid), indexing="ij")
    dx, dy = (axis.flatten()[None, :] - axis.flatten()[:, None] for axis in (columns, rows))
    return torch.stack([dx, dy, dx**2 + dy**2], dim=-1)
