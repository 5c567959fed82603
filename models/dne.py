"""DNE, dense network expansion: a transformer that gains a small expert a task (Hu et al. 2023).

The first expert is DyTox's encoder and decoder block. Each later one has k attention heads of the same width:
patch and position embedding, layer norms and spatial attention of its own, and task attention in place of
both layers of its MLPs, through which it reads all experts. An expert never depends on a later one, so that a
frozen expert computes the same bits whatever is added. The embedding is the concatenation of the experts'
slices.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from models.attention import ClassAttention, Seen, SelfAttention
from models.dne_heads import ConcatenationHeads
from models.ranks import over_ranks
from models.task_attention import TaskAttention, TaskAttentionMixer
from models.transformer import (
    DecoderBlock,
    Encoder,
    EncoderBlock,
    Mlp,
    TaskHead,
    TransformerSettings,
    drop_path_rates,
    freeze_groups,
    new_token,
)

CrossTask = Literal["dne", "ia", "sta"]
CONNECTIONS: dict[str, CrossTask] = {"dense": "dne", "independent": "ia", "spatial_task": "sta"}
"""How settings say it."""


class DNEParts(NamedTuple):
    logits: Tensor  # [N, C], the columns of all tasks
    embedding: Tensor  # [N, sum of the experts' widths]; of the newest task token where there are several
    divergence: Tensor | None  # [N, 1 + newest task's columns], column 0 any older class; None at the first task
    old_logits: Tensor | None  # [N, columns before the newest task], no gradient: what the last network said


class Expert(nn.Module):
    """Encoder and decoder block of one task. Once frozen it stays in eval mode: no drop path."""

    def __init__(self, encoder: Encoder, decoder: DecoderBlock):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.frozen = False

    def freeze(self) -> None:
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Expert:
        return super().train(mode and not self.frozen)

    def forward(self, x: Tensor, tokens: Tensor, older: Sequence[Sequence[Seen]]) -> tuple[Tensor, list[Seen]]:
        """x [N, channels, H, W], tokens [passes, d] -> [N, passes, d], and what each block and pass shows."""
        patches, shown = self.encoder(x, older)
        embeddings = []
        for token in tokens.split(1):
            seen_so_far = [expert[len(shown)] for expert in older]
            embedding, seen_here = self.decoder(token.expand(len(x), 1, -1), patches, seen_so_far)
            embeddings.append(embedding)
            shown.append(seen_here)
        return torch.cat(embeddings, dim=1), shown


class DNE(nn.Module):
    """logits [N, C so far] of float images [N, channels, H, W].

    image_shape, patch, dim, heads, depth, mlp_ratio, encoder: the first expert, as in DyTox; the width of a
        head, dim / heads, is that of all experts.
    new_heads: k, heads of each later expert (1, 2, 4 or 7 in the paper).
    cross_task: "dne" task attention; the paper's ablations "ia" (independent attention: experts see only
        themselves) and "sta" (spatial-task attention: one softmax over all patches of all experts' heads,
        MLPs as in "ia"). In "sta" a new expert's queries meet the keys and values that older experts compute
        for themselves, so it has exactly the parameters of "ia"; the paper leaves these projections open.
    decoder_passes: "single", one token that is the concatenation of a slice an expert (the release), or
        "per-task", a token and a pass of all decoder blocks for each task (what the paper's FLOPs count).
    drop_path: as in DyTox, on the newest expert only.
    local_start: heads of new experts look at first at one offset each, as the first expert's do; else nearly
        everywhere alike.
    fused: task attention as one dense product (see models.task_attention.TaskAttention).

    Without a task yet, logits are [N, 0]. Initial weights come from torch's default generator: the first
    expert's when built, the rest in `expand`; up to its first task it draws exactly what DyTox does.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (3, 32, 32),
        patch: int = 4,
        dim: int = 384,
        heads: int = 12,
        new_heads: int = 1,
        depth: int = 5,
        mlp_ratio: int = 4,
        encoder: Literal["gpsa", "plain"] = "gpsa",
        cross_task: CrossTask = "dne",
        decoder_passes: Literal["single", "per-task"] = "single",
        drop_path: float = 0.1,
        fused: bool = False,
        local_start: bool = True,
    ):
        super().__init__()
        if encoder not in ("gpsa", "plain"):
            raise ValueError(f"DNE needs attention heads: encoder gpsa or plain, not {encoder!r}")
        if cross_task not in ("dne", "ia", "sta"):
            raise ValueError(f"no cross-task connections {cross_task!r}: dne, ia or sta")
        if decoder_passes not in ("single", "per-task"):
            raise ValueError(f"no decoder passes {decoder_passes!r}: single or per-task")
        self.image_shape, self.patch, self.encoder_kind = image_shape, patch, encoder
        self.head_dim, self.new_heads, self.mlp_ratio = dim // heads, new_heads, mlp_ratio
        self.cross_task, self.per_task = cross_task, decoder_passes == "per-task"
        self.local_start = local_start
        self.rates = drop_path_rates(drop_path, depth + 1)
        self.sizes: list[int] = []
        self.widths = [dim]
        self.experts = nn.ModuleList([self._expert(heads)])
        self.tokens = nn.ParameterList()  # of task t: [1, its width], or per task [1, widths of experts 1..t]
        self.token_slices = nn.ParameterList()  # per task only: older tokens' slices on expert t, [t - 1, width]
        self.heads = ConcatenationHeads(self.per_task)
        self.divergence: TaskHead | None = None
        self.teacher: ConcatenationHeads | None = None
        self.use_fused(fused)

    @property
    def n_outputs(self) -> int:
        return sum(self.sizes)

    @property
    def _newest(self) -> Expert:
        return cast(Expert, self.experts[-1])

    def use_fused(self, fused: bool) -> None:
        """Switches between the fused and the canonical computation of task attention."""
        self.fused = fused
        for module in self.modules():
            if isinstance(module, TaskAttention):
                module.fused = fused

    def expand(self, n_outputs: int) -> None:
        """Begins a new task, with n_outputs columns in all: freezes the experts, adds one, and a head.

        Old embeddings and old logits stay bit for bit. The heads as they are become the teacher. Nothing
        happens at the present number of columns (a task without classes of its own). Raises ValueError for
        fewer.
        """
        new = n_outputs - self.n_outputs
        if new < 0:
            raise ValueError(f"a network of {self.n_outputs} columns cannot shrink to {n_outputs}")
        if new == 0:
            return
        device = next(self.parameters()).device
        if self.sizes:
            self.teacher = copy.deepcopy(self.heads).requires_grad_(False)
            self._newest.freeze()
            self.widths.append(self.head_dim * self.new_heads)
            self.experts.append(self._expert(self.new_heads))
            if self.per_task:
                self.token_slices.append(new_token(len(self.sizes), self.widths[-1]))
        total = sum(self.widths)
        self.tokens.append(new_token(1, total if self.per_task else self.widths[-1]))
        self.heads.grow(self.widths[-1], new)
        self.divergence = TaskHead(total, new + 1) if self.sizes else None
        self.sizes.append(new)
        self.use_fused(self.fused)
        self.to(device).train(self.training)

    def _expert(self, heads: int) -> Expert:
        """The next expert: the first has MLPs, the others what `cross_task` says."""
        dim, old_heads = heads * self.head_dim, sum(self.widths[:-1]) // self.head_dim

        def mixer() -> nn.Module:
            if old_heads and self.cross_task == "dne":
                return TaskAttentionMixer(old_heads, heads, self.head_dim, self.mlp_ratio)
            return Mlp(dim, self.mlp_ratio)

        joint, local = self.cross_task == "sta", self.local_start or not old_heads
        *rates, last_rate = self.rates
        encoder = Encoder(self.image_shape, self.patch, dim, heads, rates, self.encoder_kind, mixer, joint, local)
        return Expert(encoder, DecoderBlock(dim, ClassAttention(dim, heads, joint), mixer(), last_rate))

    def forward(self, x: Tensor, task: int | Tensor | None = None) -> Tensor:
        """x [N, channels, H, W] -> logits [N, C so far]. `task` changes nothing."""
        return self.heads(self.expert_slices(x)) if self.sizes else x.new_empty(len(x), 0)

    def forward_parts(self, x: Tensor) -> DNEParts:
        """Logits with what the losses need beside them, all of one pass through the experts."""
        slices = self.expert_slices(x)
        embedding = torch.cat([s[:, -1] for s in slices], dim=-1)
        divergence = self.divergence(embedding) if self.divergence is not None else None
        old_logits = None
        if self.teacher is not None:
            with torch.no_grad():
                old_logits = self.teacher(slices[:-1])
        return DNEParts(self.heads(slices), embedding, divergence, old_logits)

    def embed(self, x: Tensor) -> Tensor:
        """[N, passes * sum of widths]: the concatenated embeddings, on which exemplars are herded."""
        return torch.cat(self.expert_slices(x), dim=-1).flatten(1)

    def expert_slices(self, x: Tensor) -> list[Tensor]:
        """Each expert's slice of the embedding, [N, passes, width]; needs a first task."""
        return over_ranks(self._expert_slices, x)

    def _expert_slices(self, x: Tensor) -> list[Tensor]:
        slices: list[Tensor] = []
        older: list[list[Seen]] = []
        for e, expert in enumerate(self.experts):
            embedding, shown = expert(x, self._tokens(e), older)
            slices.append(embedding)
            if self.cross_task != "ia":
                older.append(shown)
        return slices

    def _tokens(self, e: int) -> Tensor:
        """The slices of the tokens that expert e's decoder block reads: [passes, width]."""
        if self.per_task:
            start = sum(self.widths[:e])
            slices = [token[:, start : start + self.widths[e]] for token in list(self.tokens)[e:]]
            slices = [*list(self.token_slices)[e - 1 : e], *slices] if e else slices
        else:
            slices = [self.tokens[e]]
        # A copy even of one: torch's FLOP counter cannot take a view of a parameter without gradients.
        return torch.cat(slices)

    @torch.no_grad()
    def attention_shares(self, x: Tensor, expert: int = -1) -> dict[str, float]:
        """How spatial attention divides by kind, the mean over an expert's encoder blocks, heads and patches.

        Figure 4 of the paper, with its names: same patch or different patch (SP, DP), same head or different
        head (SH, DH). They add up to 1; the DH shares are 0 except for cross_task "sta".
        """
        shares: list[Tensor] = []

        def note(attention: nn.Module, inputs: tuple, _: object) -> None:
            shares.append(shares_by_kind(cast(SelfAttention, attention).weights(*inputs)))

        blocks = cast(Expert, self.experts[expert]).encoder.blocks
        hooks = [cast(EncoderBlock, block).attention.register_forward_hook(note) for block in blocks]
        try:
            self.expert_slices(x)
        finally:
            for hook in hooks:
                hook.remove()
        mean = torch.stack(shares).mean(dim=0).tolist()
        return dict(zip(("SPSH", "SPDH", "DPSH", "DPDH"), mean, strict=True))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Every parameter, once; a group without parameters is there and empty.

        old_experts; new_encoder, new_decoder (the newest expert's); old_tokens, new_tokens; old_heads,
        new_columns (of the old heads, on the newest slice), new_head; divergence; teacher (the kept copies of
        the old heads).
        """
        return {
            "old_experts": list(self.experts[:-1].parameters()),
            "new_encoder": list(self._newest.encoder.parameters()),
            "new_decoder": list(self._newest.decoder.parameters()),
            "old_tokens": [*list(self.tokens)[:-1], *list(self.token_slices)[:-1]],
            "new_tokens": [*list(self.tokens)[-1:], *list(self.token_slices)[-1:]],
            "old_heads": [*self.heads.own[:-1].parameters(), *list(self.heads.columns)[:-1]],
            "new_columns": list(self.heads.columns)[-1:],
            "new_head": list(self.heads.own[-1:].parameters()),
            "divergence": list(self.divergence.parameters()) if self.divergence is not None else [],
            "teacher": list(self.teacher.parameters()) if self.teacher is not None else [],
        }

    def freeze(self, *groups: str) -> None:
        """Makes these parameter groups untrainable, with old experts and teacher, and all others trainable.

        The release's phases, with new columns free so that distillation has something to hold:
        freeze("old_tokens", "old_heads") from the second task on, then freeze("new_encoder", "divergence")
        for balanced fine-tuning. That second phase moves old tokens, and with them old embeddings; add
        "old_tokens" to keep those for good.
        """
        freeze_groups(self.parameter_groups(), {"old_experts", "teacher", *groups})

    def drop_training_parts(self) -> None:
        """Forgets divergence head and teacher, so that what remains is what is deployed and counted."""
        self.divergence = self.teacher = None


def shares_by_kind(weights: Tensor) -> Tensor:
    """Shares SPSH, SPDH, DPSH, DPDH of what `SelfAttention.weights` gives: [4]."""
    images, heads, patches, _ = weights.shape
    by_head = weights.unflatten(-1, (-1, patches))  # [N, h, P, H, P]
    joint = by_head.shape[3] > 1
    own = by_head[:, :, :, -heads:].diagonal(0, 1, 3) if joint else by_head[..., 0, :].movedim(1, -1)  # [N, P, P, h]
    same_patch = by_head.diagonal(0, 2, 4).sum()
    both = own.diagonal(0, 1, 2).sum()
    rest = weights.sum() - own.sum() - same_patch + both
    shares = torch.stack([both, same_patch - both, own.sum() - both, rest])
    return shares / (images * heads * patches)


class ExpertTransformerSettings(TransformerSettings):
    """DNE's transformer: a frozen expert a task, the newest reading all older ones (Hu et al. 2023)."""

    backbone: Literal["expert-transformer"] = "expert-transformer"
    new_heads: int = Field(1, ge=1, description="k, attention heads of each new expert: 1, 2, 4 or 7 in Hu et al. 2023")
    attention: Literal["dense", "independent", "spatial_task"] = Field(
        "dense",
        description='how a new expert sees the old ones: "dense", task attention; "independent", not at all (IA); '
        '"spatial_task", one softmax over all patches of all experts\' heads (STA); Hu et al. 2023, section 3.3',
    )
    passes: Literal["single", "per-task"] = Field(
        "single",
        description="passes of the decoder: one, with a token of a slice an expert (release), or one for each task's token "
        "(what the FLOPs of the paper's table 1 count)",
    )
    encoder: Literal["gpsa", "plain"] = Field("gpsa", description="attention within an expert; gpsa: release")
    new_expert_attention: Literal["local", "uniform"] = Field(
        "local",
        description="position weights that a new expert starts with: one offset a head, as the first expert's, or small and "
        "random, so that it looks nearly everywhere alike (release)",
    )
    fused: bool = Field(False, description="task attention as one dense product, equal up to rounding")

    starts_as: ClassVar[str] = "task-transformer"

    def build(self, image_shape: tuple[int, int, int]) -> DNE:
        return DNE(
            image_shape,
            self.patch,
            self.dim,
            self.heads,
            self.new_heads,
            self.depth,
            4,
            self.encoder,
            CONNECTIONS[self.attention],
            self.passes,
            self.drop_path,
            self.fused,
            self.new_expert_attention == "local",
        )
