"""DNE: dense network expansion (Hu et al. 2023)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.core.evaluation import evaluation_mode
from methods.core.method import Batch, TaskView, hyper
from methods.parts.task_transformer import TaskTransformer
from models.dne import DNE as Network

CONNECTIONS = {"dense": "dne", "independent": "ia", "spatial_task": "sta"}


class DNE(TaskTransformer):
    """A frozen expert for each old task and a small new one that reads them all by task attention (eqs. 16-23).

    Losses as DyTox's (section 3.4: classification, task expertise, distillation); the old network's answers come from
    the frozen experts in the same forward pass. Old logits start unchanged: new columns of old heads start at zero.
    """

    about = "an expert a task with k attention heads, reading all frozen older ones through task attention"
    source = "Hu et al. 2023, Dense network expansion for class incremental learning"

    new_heads: Annotated[int, Field(ge=1)] = hyper(
        1, "k, attention heads of each new expert", "1, 2, 4 or 7 in Hu 2023"
    )
    attention: Literal["dense", "independent", "spatial_task"] = hyper(
        "dense",
        'how a new expert sees the old ones: "dense", task attention; "independent", not at all (IA); "spatial_task", '
        "one softmax over all patches of all experts' heads (STA)",
        "Hu et al. 2023, section 3.3 and figure 4",
    )
    passes: Literal["single", "per-task"] = hyper(
        "single",
        "passes of the decoder: one, with a token of a slice an expert, or one for each task's token",
        "single: release; per-task: what the FLOPs of the paper's table 1 count",
    )
    encoder: Literal["gpsa", "plain"] = hyper("gpsa", "attention within an expert", "gpsa: release")
    finetune_tokens: Literal["new", "all"] = hyper(
        "new",
        'task tokens that fine-tuning moves; with "all" the embeddings of old experts change with their tokens',
        "new: Hu et al. 2023, old experts are frozen; all: release",
    )

    def _network(self, image_shape):
        return Network(
            image_shape,
            self.patch,
            self.dim,
            self.heads,
            self.new_heads,
            self.depth,
            4,
            self.encoder,
            CONNECTIONS[self.attention],  # type: ignore[arg-type]
            self.passes,
            self.drop_path,
            self.fused,
        )

    def _old_logits(self, batch: Batch, parts) -> Tensor:
        return parts.old_logits

    def _frozen_in_finetuning(self):
        old = ("old_tokens",) if self.finetune_tokens == "new" else ()
        return ("new_encoder", "divergence", *old)

    @torch.no_grad()
    def end_task(self, task: TaskView) -> None:
        super().end_task(task)
        few = task.train[torch.arange(min(64, len(task.train)))]
        with evaluation_mode(self.network):
            (self._shares,) = [
                self.network.attention_shares(batch.x) for batch in self.batches(few, mixed_precision=False)
            ]

    def diagnostics(self) -> dict[str, float]:
        """Figure 4: shares of the newest expert's spatial attention by same or different patch, and head."""
        return super().diagnostics() | {f"attention.{kind}": share for kind, share in self._shares.items()}
