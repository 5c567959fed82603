"""SD-LoRA: scalable decoupled low-rank adaptation (Wu et al. 2025)."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from methods.core.method import TaskView, hyper
from methods.parts.low_rank_tasks import LowRankTasks

START = 0.8
"""Of every magnitude, in every task (release)."""


class SDLoRA(LowRankTasks):
    """Queries and values are updated along the directions of all tasks; old ones are fixed, all magnitudes are trained.

    W + sum over earlier k of m_k B_k A_k / (|B_k| |A_k|) + m B A; the newest update is not divided by its length
    (release). Magnitudes are shared by all blocks, by queries and values, and start anew with each task.

    Published training: SGD 0.008, momentum 0.9, weight decay 2e-4, 20 epochs in batches of 128.
    """

    about = "low-rank updates of queries and values: old directions fixed, all magnitudes trained"
    source = "Wu et al. 2025, SD-LoRA: Scalable decoupled low-rank adaptation for class incremental learning"
    parts: ClassVar = ("query", "value")

    most: Annotated[int, Field(ge=1)] = hyper(
        20, "number of earlier tasks that there are magnitudes for; longer streams have more", "20: the release"
    )

    def _magnitudes(self):
        return nn.Parameter(torch.full((max(self.most, self.layout.n_tasks - 1) + 1,), START))

    def begin_task(self, task: TaskView) -> None:
        self.layers[0].magnitudes.data.fill_(START)

    def diagnostics(self):
        """The magnitude of each earlier task's direction, and of the newest update."""
        values = self.layers[0].magnitudes.tolist()
        return {f"magnitude {k + 1}": v for k, v in enumerate([*values[: self.task.id], values[-1]])}
