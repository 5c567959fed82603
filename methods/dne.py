"""DNE: dense network expansion (Hu et al. 2023)."""

from typing import Literal

import torch
from torch import Tensor

from methods.core.evaluation import evaluation_mode
from methods.core.method import Batch, TaskView, hyper
from methods.parts.task_transformer import TaskTransformer


class DNE(TaskTransformer):
    """A frozen expert for each old task and a small new one that reads them all by task attention (eqs. 16-23).

    Losses as DyTox's (section 3.4: classification, task expertise, distillation); the old network's answers come from
    the frozen experts in the same forward pass. Old logits start unchanged: new columns of old heads start at zero.
    """

    about = "an expert a task with k attention heads, reading all frozen older ones through task attention"
    source = "Hu et al. 2023, Dense network expansion for class incremental learning"

    backbones = ("expert-transformer",)

    finetune_tokens: Literal["new", "all"] = hyper(
        "new",
        'task tokens that fine-tuning moves; with "all" the embeddings of old experts change with their tokens',
        "new: Hu et al. 2023, old experts are frozen; all: release",
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
