"""DyTox: transformers for continual learning with dynamic token expansion (Douillard et al. 2022)."""

import torch
from torch import Tensor

from methods.core.method import Batch, TaskView
from methods.parts.task_transformer import TaskTransformer


class DyTox(TaskTransformer):
    """(1 - l) BCE + l KD + 0.1 divergence (eq. 10), l = old columns / all; one encoder, a token and a head a task.

    DyTox+ is this with mixup in the recipe, DyTox++ moreover with `sam: 3.0`.
    """

    about = "a shared transformer, a token and a head a task, distillation, exemplars and balanced fine-tuning"
    source = "Douillard et al. 2022, DyTox: Transformers for continual learning with dynamic token expansion"

    backbones = ("task-transformer",)

    def grow(self, task: TaskView) -> None:
        self._teacher = self.frozen_copy() if task.id else None
        super().grow(task)

    def _old_logits(self, batch: Batch, parts) -> Tensor:
        assert self._teacher is not None, "there is one from the second task on"
        with torch.no_grad():
            return self._teacher(batch.x)

    def _frozen_in_finetuning(self):
        return ("encoder", "divergence")

    def end_task(self, task: TaskView) -> None:
        super().end_task(task)
        self._teacher = None
