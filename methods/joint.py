"""Joint: after each task, train on the data of all tasks so far."""

import copy
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.core import losses
from methods.core.method import Batch, Method, TaskView, hyper
from methods.core.recipe import Phase
from methods.parts.balanced_finetuning import finetuning_phase, herded
from methods.parts.distributed_memory import DistributedMemory
from methods.parts.exemplar_training import classes_of_tasks
from models import EXTRACTORS, TaskTransformerSettings
from scenarios import Examples


class Joint(Method):
    """The upper bound: sees all past data. Its last row is offline training on everything."""

    about = "training on all data of all tasks so far (upper bound)"
    family = "baseline"
    sees_past_data = True
    backbones = (*EXTRACTORS, "task-transformer")

    restart: bool = hyper(True, "training anew from the initial weights at every task", "offline training, once a row")
    rows: Literal["every", "last"] = hyper(
        "every",
        "rows of the accuracy matrix: training after every task, or once, after the last; rows before it are then not evaluated",
        "every: our choice; last: van de Ven et al. 2022, Hsu et al. 2018, one run on all data",
    )
    scale_steps: bool = hyper(
        True, "steps of the recipe (where it counts steps) for each task seen", "van de Ven et al. 2022"
    )
    criterion: Literal["ce", "bce"] = hyper(
        "ce",
        'loss: softmax cross-entropy, or "bce", each class a yes or no: what bounds dytox and dne',
        "bce: DyTox's release, its loss with one task (Douillard et al. 2022, eq. 10)",
    )
    exemplar_epochs: Annotated[int, Field(ge=0)] = hyper(
        0,
        "epochs in which a task-transformer with its encoder frozen is then fine-tuned on herded exemplars alone",
        "20: DyTox's release, which fine-tunes after joint training too; 0: our choice",
    )
    exemplars: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars of the fine-tuning, evenly of each class", "Douillard et al. 2022"
    )
    exemplar_lr: Annotated[float, Field(gt=0)] = hyper(
        0.1, "constant learning rate of the fine-tuning, as part of the recipe's", "Douillard et al. 2022: 5e-5 of 5e-4"
    )
    exemplar_ranks: Annotated[int, Field(ge=0)] = hyper(
        0,
        "processes that read the exemplars in the order of choice, side by side; 0: in random order",
        "2: DyTox's release",
    )
    added_later = frozenset({"criterion", "exemplar_epochs", "exemplars", "exemplar_lr", "exemplar_ranks"})

    def build(self, scenario, model):
        if self.exemplar_epochs and not isinstance(model, TaskTransformerSettings):
            raise ValueError(f"exemplar_epochs fine-tunes a task-transformer, not {model.backbone}")
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
        if self.exemplar_epochs:
            yield self._finetuning(everything)
            self.network.freeze()

    def _finetuning(self, everything: Examples) -> Phase:
        classes = classes_of_tasks(self.layout)
        memory = DistributedMemory(self.exemplars, "total", "herding", self.generator("buffer"), classes=classes)
        herded(self, memory, everything, augmented=True)
        data, in_order = memory.in_order(self.exemplar_ranks)
        sampling = in_order if self.exemplar_ranks else None
        return finetuning_phase(self, data, self.exemplar_epochs, self.exemplar_lr, ("encoder",), self.loss, sampling)

    def loss(self, batch: Batch) -> Tensor:
        if self.criterion == "ce":
            return super().loss(batch)
        return losses.binary_cross_entropy(self.logits(batch), self._targets(batch), batch.active)

    def answers(self, task_id: int) -> bool:
        return super().answers(task_id) if self.rows == "every" else self.seen == self.layout.n_tasks

    def _trains(self, task_id: int) -> bool:
        return self.rows == "every" or task_id == self.layout.n_tasks - 1
