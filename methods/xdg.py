"""Context-dependent gating (Masse, Grant & Freedman 2018)."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from methods.core.method import Method, hyper
from models import GatedNetwork


class XdG(Method):
    """h_i = relu(W_i h_(i-1) + b_i) * g_i(task): a fixed random part of every hidden layer is silent in each task.

    The tasks then share few units, which is what keeps them apart. The paper's combination with a penalty (SI, EWC)
    is not part of it here.
    """

    about = "silences a random part of the hidden units in each task"
    source = "Masse, Grant & Freedman 2018, Alleviating catastrophic forgetting using context-dependent gating"
    family = "isolation"
    needs_task_id = True
    backbones = ("mlp",)

    gating: Annotated[float, Field(ge=0, lt=1)] = hyper(
        0.8,
        "share of the units of every hidden layer that a task silences",
        "Masse et al. 2018: 0.8; van de Ven et al. 2022: 0.9 on Split MNIST",
    )

    def build(self, scenario, model):
        network: Any = super().build(scenario, model)
        per_task = [self._gates(model.hidden, task) for task in range(self.layout.n_tasks)]
        return GatedNetwork(network.backbone, network.head, [torch.stack(g) for g in zip(*per_task, strict=True)])

    def _gates(self, widths: tuple[int, ...], task: int) -> list[Tensor]:
        generator = self.generator("gates", task)
        gates = [torch.ones(width) for width in widths]
        for gate in gates:
            gate[torch.randperm(len(gate), generator=generator)[: int(self.gating * len(gate))]] = 0
        return gates

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        assert task_id is not None, "declared by needs_task_id"
        return self.network(x, task_id)
