"""Task attention: a new expert's heads ask the heads of all experts, patch by patch (DNE, eqs. 16-23)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import Seen, linear


class TaskAttention(nn.Module):
    """o_i = lambda sum_j A_ij (W_v^j s_j + b_j), A = softmax over all heads of W_q s_i . W_k s_j / sqrt(D).

    W_q and W_k are shared by all heads, W_v^j belongs to input head j and is shared by all output heads.
    lambda is one learned scalar and starts at the number of old heads, so that the softmax's average begins
    near the plain sum of an MLP (the release; eq. 23 writes one lambda a head, the same thing for one new
    head).

    `fused` computes o_i = lambda * (W_cat . concat_j(A_ij s_j) + sum_j A_ij b_j) in one dense product, equal
    up to rounding because W_v does not depend on i: fewer and larger products, k times the FLOPs of the
    values.
    """

    def __init__(self, old_heads: int, new_heads: int, inputs: int, outputs: int):
        super().__init__()
        heads = old_heads + new_heads
        self.query = linear(inputs, inputs, bias=False)
        self.key = linear(inputs, inputs, bias=False)
        # [D', H, D]: `value[:, j]` is head j's W_v, and flattened it is W_cat without a copy.
        self.value = nn.Parameter(nn.init.trunc_normal_(torch.empty(outputs, heads, inputs), std=0.02))
        self.bias = nn.Parameter(torch.zeros(heads, outputs))
        self.scale = nn.Parameter(torch.tensor(float(old_heads)))
        self.fused = False

    def forward(self, new: Tensor, older: Sequence[Tensor]) -> Tensor:
        """new [N, P, k, D], older [N, P, h_e, D] for each earlier expert -> [N, P, k, D']."""
        # Old heads are kept apart from new ones: they are frozen, and so no gradient is computed towards them.
        sources = [torch.cat(list(older), dim=2), new]
        query = self.query(new) * new.shape[-1] ** -0.5
        key = torch.cat([self.key(source) for source in sources], dim=2)
        attention = (query @ key.transpose(-2, -1)).softmax(dim=-1)  # [N, P, k, H]
        if self.fused:
            shares = attention.split([source.shape[2] for source in sources], dim=-1)
            scaled = [(a.unsqueeze(-1) * s.unsqueeze(2)).flatten(-2) for a, s in zip(shares, sources, strict=True)]
            dense = F.linear(torch.cat(scaled, dim=-1), self.value.flatten(1))  # from [N, P, k, H D]
            return self.scale * (dense + attention @ self.bias)
        weights = self.value.split([source.shape[2] for source in sources], dim=1)
        products = [torch.einsum("nphd,ehd->nphe", s, w) for s, w in zip(sources, weights, strict=True)]
        values = torch.cat(products, dim=2) + self.bias  # [N, P, H, D']
        return self.scale * (attention @ values)


class TaskAttentionMixer(nn.Module):
    """Task attention in place of both layers of the MLP: D -> gamma D, GELU, gamma D -> D (DNE, eqs. 17-18).

    Each expert's features come through its own layer norm; as in the release, none stands between the two
    layers (eq. 17 writes one).
    """

    def __init__(self, old_heads: int, new_heads: int, head_dim: int, ratio: int):
        super().__init__()
        self.heads = new_heads
        self.first = TaskAttention(old_heads, new_heads, head_dim, ratio * head_dim)
        self.second = TaskAttention(old_heads, new_heads, ratio * head_dim, head_dim)

    def forward(self, features: Tensor, older: Sequence[Seen]) -> tuple[Tensor, Tensor]:
        """features [N, P, k D] -> output [N, P, k D], hidden response [N, P, k gamma D]."""
        new = features.unflatten(-1, (self.heads, -1))
        hidden = F.gelu(self.first(new, [seen.features for seen in older]))
        output = self.second(hidden, [seen.hidden for seen in older])
        return output.flatten(-2), hidden.flatten(-2)
