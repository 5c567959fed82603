"""PackNet (Mallya & Lazebnik 2018)."""

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from methods.core.method import Batch, Method, TaskView, hyper
from models import MultiHead

FREE = -1


class PackNet(Method):
    """Each task trains the weights that are free, keeps the largest of them and gives back the others.

    After training, the `prune` share of the free weights of every layer, those of least magnitude, is set to 0; the
    kept ones are trained on and then belong to the task for good. The freed ones start from 0 in the next task. A
    task is answered with the weights of tasks up to itself. Biases and normalisation are fixed after the first task;
    every task has its own output layer (section 3 of the paper).
    """

    about = "packs tasks into one network by pruning and freezing"
    source = "Mallya & Lazebnik 2018, PackNet: adding multiple tasks to a single network by iterative pruning"
    family = "isolation"
    needs_task_id = True

    prune: Annotated[float, Field(gt=0, lt=1)] = hyper(
        0.75, "share of a layer's free weights given back after each task", "Mallya & Lazebnik 2018: 0.5 or 0.75"
    )
    retrain: Annotated[float, Field(gt=0)] = hyper(
        0.5, "length of training after pruning, as a share of the task's", "Mallya & Lazebnik 2018: half"
    )

    def build(self, scenario, model):
        network = super().build(scenario, model)
        # whose each weight is: a task's id or FREE
        self._owner = {
            name: torch.full(p.shape, FREE, dtype=torch.int16, device=self.device)
            for name, p in network.named_parameters()
            if p.dim() > 1 and p.requires_grad and not name.startswith("head.")
        }
        return network

    def phases(self, task: TaskView):
        self._train_only(FREE)
        yield self.phase(task.train)
        self._prune(task.id)
        self._train_only(task.id)
        r = self.recipe  # phase() scales what it says
        length: dict[str, Any] = {
            "epochs": None if r.epochs is None else max(1, round(self.retrain * r.epochs)),
            "steps": None if r.steps is None else max(1, round(self.retrain * r.steps)),
            "warmup_epochs": math.ceil(self.retrain * r.warmup_epochs),
            "milestones": tuple(max(1, round(self.retrain * m)) for m in r.milestones),
        }
        yield self.phase(task.train, name="retrain", **length)

    def loss(self, batch: Batch):
        if self.task.id > 0:
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return super().loss(batch)

    def adjust_gradients(self, batch: Batch) -> None:
        for p, may_change in zip(self.network.parameters(), self._may_change, strict=True):
            if p.grad is not None:
                p.grad.mul_(may_change)

    def after_step(self, batch: Batch) -> None:
        # momentum and weight decay move weights that have no gradient
        for p, may_change, fixed in zip(self.network.parameters(), self._may_change, self._fixed, strict=True):
            p.copy_(torch.where(may_change, p, fixed))

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        assert task_id is not None, "declared by needs_task_id"
        if task_id >= self.seen - 1:  # all that is kept so far; what is free is 0, or not trained at all
            return self.network(x, task_id)
        mine = {
            name: torch.where((owner > FREE) & (owner <= task_id), self.network.get_parameter(name), 0.0)
            for name, owner in self._owner.items()
        }
        return torch.func.functional_call(self.network, mine, (x, task_id))

    def parameters_report(self) -> dict[str, int]:
        """frozen: what no later task may change."""
        report = super().parameters_report()
        later = sum(int((owner == FREE).sum()) for owner in self._owner.values())
        for task in range(self.seen, self.layout.n_tasks):
            later += sum(int(mask.sum()) for mask in self._head_of(task).values())
        return report | {"frozen": report["total"] - later, "trainable": later}

    def footprint(self) -> dict[str, int]:
        return {"owners": sum(o.nbytes for o in self._owner.values())}

    def _train_only(self, owner: int) -> None:
        """Leaves the weights of `owner`, the task's output layer and in the first task the biases to training."""
        head = self._head_of(self.task.id)
        self._may_change, self._fixed = [], []
        for name, p in self.network.named_parameters():
            if name in self._owner:
                may_change = self._owner[name] == owner
            else:
                may_change = head.get(name, torch.full_like(p, self.task.id == 0, dtype=torch.bool))
            self._may_change.append(may_change)
            self._fixed.append(p.detach().clone())

    def _head_of(self, task: int) -> dict[str, Tensor]:
        """By name, which entries of the output layer's parameters are `task`'s."""
        masks = {}
        for name, p in self.network.head.named_parameters():
            mask = torch.zeros_like(p, dtype=torch.bool)
            if not isinstance(self.network.head, MultiHead):
                mask[self.layout.columns[task]] = True
            elif name.startswith(f"layers.{task}."):
                mask[:] = True
            masks[f"head.{name}"] = mask
        return masks

    @torch.no_grad()
    def _prune(self, task: int) -> None:
        for name, owner in self._owner.items():
            weight, free = self.network.get_parameter(name), owner == FREE
            kept = int(free.sum()) - int(self.prune * int(free.sum()))
            magnitude = torch.where(free, weight.abs(), -1.0).flatten()
            owner.view(-1)[magnitude.topk(kept).indices] = task
            weight[owner == FREE] = 0
