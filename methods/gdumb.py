"""GDumb: greedy sampler and dumb learner (Prabhu et al. 2020)."""

import copy
from typing import Annotated

import torch
from pydantic import Field

from methods.core.method import Batch, Method, TaskView, hyper
from methods.core.recipe import OptimizerSettings
from methods.parts.exemplar_training import exemplar_memory


class GDumb(Method):
    """Keeps a class-balanced memory and trains a network from scratch on it alone, at every task.

    The greedy sampler evicts from the largest class whenever a smaller one asks for room; after a task it leaves an
    even share of every class, drawn at random, which is what is stored here. Where tasks share labels, each task's
    class has its own share. The optimizer is GDumb's, not the recipe's: SGD with momentum 0.9. Differs from the
    paper in one cosine decay to 0 (there: warm restarts down to 0.0005) and in leaving out CutMix.
    """

    about = "trains from scratch on a balanced memory alone, anew at every task"
    source = "Prabhu et al. 2020, GDumb: A simple approach that questions our progress in continual learning"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(1000, "examples stored in all")
    epochs: Annotated[int, Field(ge=1)] = hyper(
        128, "epochs over the memory", "Prabhu et al. 2020, MNIST; 256 on CIFAR and SVHN"
    )
    batch_size: Annotated[int, Field(ge=1)] = hyper(16, "examples per step", "Prabhu et al. 2020")
    lr: Annotated[float, Field(gt=0)] = hyper(0.05, "learning rate at the start of the schedule", "Prabhu et al. 2020")
    weight_decay: Annotated[float, Field(ge=0)] = hyper(1e-6, "weight decay", "Prabhu et al. 2020")
    clip: Annotated[float, Field(gt=0)] | None = hyper(10.0, "largest norm of the gradient", "Prabhu et al. 2020")

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        network = super().build(scenario, model)
        self._initial = copy.deepcopy(network)
        return network

    def begin_task(self, task: TaskView) -> None:
        self.buffer.update(task.train)
        if task.id > 0:
            self.network = copy.deepcopy(self._initial)
            self.network.expand(self.layout.width(task.id))
            self.network.to(self.device)

    def phases(self, task: TaskView):
        yield self.phase(
            self.buffer.examples(),
            epochs=self.epochs,
            steps=None,
            batch_size=self.batch_size,
            drop_last=False,
            optimizer=OptimizerSettings(lr=self.lr, momentum=0.9, weight_decay=self.weight_decay),
            optimizer_state="fresh",
            schedule="cosine",
        )

    def adjust_gradients(self, batch: Batch) -> None:
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
