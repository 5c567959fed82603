"""Progressive neural networks (Rusu et al. 2016)."""

import math

import torch
from torch import Tensor

from methods.core.method import Batch, Method, TaskView
from models import ProgressiveNetwork, in_columns, xavier


class PNN(Method):
    """A new column for every task, fed laterally by the frozen old ones: nothing is forgotten, parameters grow."""

    about = "a column a task with lateral connections from the frozen old ones"
    source = "Rusu et al. 2016, Progressive neural networks"
    family = "expansion"
    needs_task_id = True
    reads_targets = False
    backbones = ("mlp",)
    own_network = "progressive columns of {model}"

    def build(self, scenario, model):
        self._xavier = model.init == "xavier"
        return ProgressiveNetwork(math.prod(scenario.image_shape), model.hidden)

    def answers_unseen(self, layout):
        return False

    def begin_task(self, task: TaskView) -> None:
        column = self.network.add_column(task.outputs.stop - task.outputs.start)
        if self._xavier:
            xavier(column)
        self.network.to(self.device)

    def loss(self, batch: Batch):
        own = self.network(batch.x, self.task.id)
        return torch.nn.functional.cross_entropy(own, batch.y - self.task.outputs.start)

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        assert task_id is not None, "declared by needs_task_id"
        return in_columns(self.network(x, task_id), self.layout.columns[task_id], self.layout.n_outputs)
