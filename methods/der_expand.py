"""DER, dynamically expandable representation (Yan et al. 2021), without its masks."""

from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.exemplar_training import balanced_subset, exemplar_memory, keep_exemplars, with_exemplars
from methods.parts.exemplars import Policy, Select
from methods.parts.features import head_logits, head_phase
from models import LinearHead, Network
from models.parallel import ParallelBackbones, fresh_head, widened_head
from scenarios.seeding import seed_for


class DERExpand(Method):
    """A backbone a task, those before it frozen bit for bit; the features of all side by side under one linear layer.

    CE(all classes) + auxiliary * CE(H_a(newest features)), H_a telling the new classes and "old" apart (eq. 4-6, 9).
    Then the linear layer starts anew and learns alone, CE(logits / 5), on as many examples of each class as the
    smallest has (section 3.4). Masks (section 3.3) were not released. The new backbone starts as a copy of the last.
    """

    about = "a frozen backbone for every task before, a new one for this, one classifier over all features"
    source = "Yan et al. 2021, DER: Dynamically expandable representation for class incremental learning"
    family = "expansion"
    reads_targets = False

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars stored in all, or of each class (policy)", "Yan et al. 2021, CIFAR-100"
    )
    policy: Policy = hyper(
        "total",
        'exemplars that buffer_size counts: in all ("total") or of each class ("per_class")',
        "total; per_class: Yan et al. 2021, B50 (20)",
    )
    select: Select = hyper("herding", "choice of exemplars", "Yan et al. 2021")
    auxiliary: Annotated[float, Field(ge=0)] = hyper(1.0, "weight of the auxiliary loss", "DER's release")
    reuse_head: bool = hyper(
        False, "start of each task's linear layer from the last one's weights", "false: DER's release; true: PyCIL"
    )
    bias: bool = hyper(False, "bias of the linear layer", "false: DER's release; true: PyCIL")
    finetune_epochs: Annotated[int, Field(ge=0)] = hyper(
        30,
        "epochs of balanced fine-tuning of the linear layer alone; 0: none",
        "30: DER's release; 0: PyCIL, which aligns weights instead",
    )
    finetune_lr: Annotated[float, Field(gt=0)] = hyper(
        0.1, "learning rate of the fine-tuning, a tenth from half-way on", "DER's release"
    )
    finetune_temperature: Annotated[float, Field(gt=0)] = hyper(
        5.0,
        "temperature of the fine-tuning, by which logits are divided",
        "DER's release: 5 on CIFAR-100, 1 on ImageNet-100",
    )

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        self._auxiliary: nn.Linear | None = None
        network = self.backbone_and_head(scenario, model, partial(LinearHead, bias=self.bias, init=model.head_init))
        return Network(ParallelBackbones([network.backbone]), network.head)

    def begin_task(self, task: TaskView) -> None:
        if task.id == 0:
            return
        self.network.backbone = self.network.backbone.grown()
        width = self.network.backbone.features
        self.network.head = (widened_head if self.reuse_head else fresh_head)(self.network.head, width)
        classes = task.outputs.stop - task.outputs.start
        self._auxiliary = nn.Linear(self.network.backbone.newest, classes + 1).to(self.device)

    def phases(self, task: TaskView):
        everything = with_exemplars(task.train, self.buffer)
        learned = [p for p in self.network.parameters() if p.requires_grad]
        extra = list(self._auxiliary.parameters()) if self._auxiliary is not None else []
        yield self.phase(everything, parameters=[*learned, *extra])
        self._auxiliary = None
        if task.id == 0 or not self.finetune_epochs:
            return
        torch.manual_seed(seed_for(self.seed, "finetune", task.id))
        self.network.head = fresh_head(self.network.head, self.network.backbone.features)
        yield head_phase(
            self,
            balanced_subset(everything, self.generator("balanced", task.id)),
            self.finetune_epochs,
            self.finetune_lr,
            self._head_loss,
            schedule="multistep",
            milestones=(max(1, self.finetune_epochs // 2),),
        )

    def loss(self, batch: Batch):
        if self._auxiliary is None:
            return super().loss(batch)
        features = self.network.backbone(batch.x)
        newest = features[:, -self.network.backbone.newest :]
        is_new = batch.examples.task_ids == self.task.id
        target = torch.where(is_new, batch.y - self.task.outputs.start + 1, 0)
        auxiliary = F.cross_entropy(self._auxiliary(newest).float(), target)
        return self.cross_entropy(self.network.classify(features), batch) + self.auxiliary * auxiliary

    def _head_loss(self, batch: Batch) -> Tensor:
        return self.cross_entropy(head_logits(self, batch) / self.finetune_temperature, batch)

    def end_task(self, task: TaskView) -> None:
        keep_exemplars(self, self.buffer, task.train)
