"""DyTox: one transformer whose tasks differ in a learned token and a head (Douillard et al. 2022).

Five gated positional self-attention blocks turn an image into patch features. One task-attention block then
reads them once for each task token, giving one task embedding each, and each task's head classifies its own
embedding. A new task adds a token and a head. The head that separates the new task from the old ones (the
divergence head) is for training only.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from models.attention import ClassAttention
from models.ranks import over_ranks
from models.transformer import (
    DecoderBlock,
    Encoder,
    EncoderKind,
    Mlp,
    TaskHead,
    TransformerSettings,
    drop_path_rates,
    freeze_groups,
    new_token,
)


class DyToxParts(NamedTuple):
    logits: Tensor  # [N, C], the columns of all tasks
    embeddings: Tensor  # [N, T, d], one a task
    divergence: Tensor | None  # [N, 1 + newest task's columns], column 0 any older class; None at the first task


class DyTox(nn.Module):
    """logits [N, C so far] of float images [N, channels, H, W].

    image_shape: (channels, H, W); patch: its side in pixels, 4 at 32 x 32, 16 or 32 at 224 x 224.
    dim, heads, depth, mlp_ratio: width, attention heads, encoder blocks (the task-attention block not
        counted).
    encoder, width: see models.transformer.Encoder.
    drop_path: of the task-attention block; rises linearly from 0 at the first encoder block.
    fused: all task tokens in one pass, patches projected once. Equal up to rounding (and to drop path's
        draws).

    Without a task yet, logits are [N, 0]. Initial weights come from torch's default generator: encoder and
    task-attention block when built, token and head of a task in `expand`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (3, 32, 32),
        patch: int = 4,
        dim: int = 384,
        heads: int = 12,
        depth: int = 5,
        mlp_ratio: int = 4,
        encoder: EncoderKind = "gpsa",
        drop_path: float = 0.1,
        fused: bool = False,
        width: float = 1.0,
    ):
        super().__init__()
        self.dim, self.fused = dim, fused
        self.sizes: list[int] = []
        *rates, last_rate = drop_path_rates(drop_path, depth + 1)
        self.encoder = Encoder(image_shape, patch, dim, heads, rates, encoder, lambda: Mlp(dim, mlp_ratio), width=width)
        self.decoder = DecoderBlock(dim, ClassAttention(dim, heads), Mlp(dim, mlp_ratio), last_rate)
        self.tokens = nn.ParameterList()
        self.heads = nn.ModuleList()
        self.divergence: TaskHead | None = None

    @property
    def n_outputs(self) -> int:
        return sum(self.sizes)

    def expand(self, n_outputs: int) -> None:
        """Begins a new task: a token, and a head making n_outputs columns in all. Old ones stay bit for bit.

        Nothing happens at the present number of columns (a task without classes of its own).
        Raises ValueError for fewer.
        """
        new = n_outputs - self.n_outputs
        if new < 0:
            raise ValueError(f"a network of {self.n_outputs} columns cannot shrink to {n_outputs}")
        if new == 0:
            return
        device = self.encoder.position.device
        self.tokens.append(new_token(1, self.dim))
        self.heads.append(TaskHead(self.dim, new))
        self.divergence = TaskHead(self.dim, new + 1) if self.sizes else None
        self.sizes.append(new)
        self.to(device)

    def forward(self, x: Tensor, task: int | Tensor | None = None) -> Tensor:
        """x [N, channels, H, W] -> logits [N, C so far]. `task` changes nothing."""
        return self._logits(self.task_embeddings(x), x)

    def forward_parts(self, x: Tensor) -> DyToxParts:
        """Logits with what the losses need beside them."""
        embeddings = self.task_embeddings(x)
        divergence = self.divergence(embeddings[:, -1]) if self.divergence is not None else None
        return DyToxParts(self._logits(embeddings, x), embeddings, divergence)

    def task_embeddings(self, x: Tensor) -> Tensor:
        """[N, T, d]: what the task-attention block makes of each task token."""
        # a batch must be normalised whole; on accelerators the ranks exchange its moments
        whole = self.encoder.normalises_batches and self.training and not x.is_cuda
        return self._task_embeddings(x) if whole else over_ranks(self._task_embeddings, x)

    def _task_embeddings(self, x: Tensor) -> Tensor:
        if not self.sizes:
            return x.new_empty(len(x), 0, self.dim)
        patches, _ = self.encoder(x)
        tokens = torch.cat(list(self.tokens)).expand(len(x), -1, -1)
        if self.fused:
            return self.decoder.all_tokens(tokens, patches)
        return torch.cat([self.decoder(token, patches)[0] for token in tokens.split(1, dim=1)], dim=1)

    def embed(self, x: Tensor) -> Tensor:
        """[N, T d]: the concatenated task embeddings, on which exemplars are herded."""
        return self.task_embeddings(x).flatten(1)

    def _logits(self, embeddings: Tensor, x: Tensor) -> Tensor:
        if not self.sizes:
            return x.new_empty(len(x), 0)
        return torch.cat([head(embeddings[:, t]) for t, head in enumerate(self.heads)], dim=1)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Every parameter, once: encoder, decoder, old_tokens, new_tokens, old_heads, new_head, divergence.

        A group without parameters (the old ones at the first task) is there and empty.
        """
        tokens = list(self.tokens)
        return {
            "encoder": list(self.encoder.parameters()),
            "decoder": list(self.decoder.parameters()),
            "old_tokens": tokens[:-1],
            "new_tokens": tokens[-1:],
            "old_heads": list(self.heads[:-1].parameters()),
            "new_head": list(self.heads[-1:].parameters()),
            "divergence": list(self.divergence.parameters()) if self.divergence is not None else [],
        }

    def freeze(self, *groups: str) -> None:
        """Makes exactly these parameter groups untrainable, all others trainable.

        The paper's phases: freeze("old_tokens", "old_heads") from the second task on, then
        freeze("encoder", "divergence") for balanced fine-tuning.
        """
        freeze_groups(self.parameter_groups(), groups)
        self.encoder.frozen = "encoder" in groups
        self.encoder.train(self.training)

    def drop_training_parts(self) -> None:
        """Forgets the divergence head, so that what remains is what is deployed and counted."""
        self.divergence = None


class TaskTransformerSettings(TransformerSettings):
    """DyTox's transformer: one encoder, a token and a head a task (Douillard et al. 2022)."""

    backbone: Literal["task-transformer"] = "task-transformer"
    encoder: EncoderKind = Field(
        "gpsa",
        description="blocks before the task attention: ConViT's gated ones, plain self-attention, gated ones behind a "
        "convolutional stem, or in their place a convolutional network: conv-trunk, ours, or resnet18, without its last "
        "stage; gpsa: Douillard et al. 2022; resnet18: its release, with patch 8 and dim 504",
    )
    encoder_width: float = Field(1.0, gt=0, description="encoder resnet18: multiplies its channels")
    fused: bool = Field(True, description="all task tokens in one pass, faster and equal up to rounding")

    @model_validator(mode="after")
    def _width_is_a_resnet_s(self):
        if self.encoder_width != 1 and self.encoder != "resnet18":
            raise ValueError(f"encoder_width belongs to encoder resnet18, not to {self.encoder}")
        return self

    def build(self, image_shape: tuple[int, int, int]) -> DyTox:
        return DyTox(
            image_shape,
            self.patch,
            self.dim,
            self.heads,
            self.depth,
            4,
            self.encoder,
            self.drop_path,
            self.fused,
            self.encoder_width,
        )
