"""Joint: after each task, train on the data of all tasks so far."""

import copy
from typing import Literal

import torch
from torch import Tensor

from methods.core import losses
from methods.core.method import Batch, Method, TaskView, hyper
from models import EXTRACTORS
from scenarios import Examples


class Joint(Method):
    """The upper bound: sees all past data. Its last row is offline training on everything."""

    about = "training on all data of all tasks so far (upper bound)"
    family = "baseline"
    sees_past_data = True
    backbones = (*EXTRACTORS, "task-transformer")

    restart: bool = hyper(True, "train anew from the initial weights at every task", "offline training, once a row")
    rows: Literal["every", "last"] = hyper(
        "every",
        "train after every task, or once, after the last one: rows before it are then not evaluated",
        "every: our choice; last: van de Ven et al. 2022, Hsu et al. 2018, one run on all data",
    )
    scale_steps: bool = hyper(True, "where a recipe counts steps: as many for each task seen", "van de Ven et al. 2022")
    criterion: Literal["ce", "bce"] = hyper(
        "ce",
        'softmax cross-entropy, or "bce", each class a yes or no: what bounds dytox and dne',
        "bce: DyTox's release, its loss with one task (Douillard et al. 2022, eq. 10)",
    )
    added_later = frozenset({"criterion"})

    def build(self, scenario, model):
        network = self.backbone_and_head(scenario, model)
        # expansion goes on drawing weights where building stopped
        self._initial = copy.deepcopy(network), torch.get_rng_state()
        return network

    def begin_task(self, task: TaskView) -> None:
        if self.restart and task.id > 0 and self._trains(task.id):
            network, generator = self._initial
            self.network = copy.deepcopy(network)
            torch.set_rng_state(generator)
            self.network.expand(self.layout.width(task.id))
            self.network.to(self.device)

    def phases(self, task: TaskView):
        if not self._trains(task.id):
            return
        everything = Examples.concatenate([t.train for t in (*task.past, task)])
        steps = self.recipe.steps
        if steps is not None and self.scale_steps:
            steps = sum(self.whole_recipe.at(seen).steps or steps for seen in range(task.id + 1))
        yield self.phase(everything, steps=steps)

    def loss(self, batch: Batch) -> Tensor:
        if self.criterion == "ce":
            return super().loss(batch)
        return losses.binary_cross_entropy(self.logits(batch), self._targets(batch), batch.active)

    def answers(self, task_id: int) -> bool:
        return super().answers(task_id) if self.rows == "every" else self.seen == self.layout.n_tasks

    def _trains(self, task_id: int) -> bool:
        return self.rows == "every" or task_id == self.layout.n_tasks - 1
