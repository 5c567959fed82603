"""Separate networks: one for every task (van de Ven et al. 2022)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from methods.core.method import Batch, Method, TaskView, hyper
from models import MLPSettings, ModelSettings, SeparateNetworks, build_network, in_columns


class Separate(Method):
    """A network of its own for every task, trained on that task alone: nothing is forgotten, nothing transferred."""

    about = "a network of its own for every task"
    source = "van de Ven et al. 2022, Three types of incremental learning"
    family = "expansion"
    needs_task_id = True
    reads_targets = False
    own_network = "separate networks of {model}"

    hidden_units: Annotated[int, Field(ge=1)] | None = hyper(
        None,
        "units of each hidden layer of each network; null: the model's own sizes",
        "van de Ven et al. 2022: 100 on Split MNIST, so that all have about the size of one other network",
    )

    def build(self, scenario, model: ModelSettings):
        self._model, self._image_shape = model, scenario.image_shape
        if self.hidden_units is not None:
            if not isinstance(model, MLPSettings):
                raise ValueError(f"hidden_units sizes the layers of backbone mlp; {model.backbone!r} has its own: null")
            self._model = model.model_copy(update={"hidden": (self.hidden_units,) * len(model.hidden)})
        return SeparateNetworks()

    def answers_unseen(self, layout):
        return False

    def begin_task(self, task: TaskView) -> None:
        columns = task.outputs.stop - task.outputs.start
        self.network.add(build_network(self._model, self._image_shape, "shared", [columns], columns))
        self.network.to(self.device)

    def phases(self, task: TaskView):
        # no optimizer has state for a network that is new, so there is none to keep
        yield self.phase(task.train, optimizer_state="fresh")

    def loss(self, batch: Batch):
        own = self.network(batch.x, self.task.id)
        return torch.nn.functional.cross_entropy(own, batch.y - self.task.outputs.start)

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        assert task_id is not None, "declared by needs_task_id"
        return in_columns(self.network(x, task_id), self.layout.columns[task_id], self.layout.n_outputs)
