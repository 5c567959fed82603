"""EASE: expandable subspace ensemble (Zhou et al. 2024)."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from methods.core.method import Method, TaskView, hyper
from methods.parts.feature_head import LOWEST
from methods.parts.features import features_of
from models import Network, build_backbone, ranks
from models.adapters import AdaptedTransformer
from models.cosine_heads import CosineHead
from models.vision_transformer import check_transformer


class EASE(Method):
    """A set of adapters a task, each with a subspace of features; a class is known by its mean in every subspace.

    An old class was never seen in later subspaces: its mean there is that of newer classes, weighted by the softmax of
    their cosines with it in the subspace of its own task. A class's score is its cosine in the subspace of its
    own task plus alpha times the mean of those in the others. A task's adapters are trained under a cosine head
    of its classes, which goes after the task.

    Published training: SGD 0.025, momentum 0.9, weight decay 5e-4, cosine, 20 epochs in batches of 48.
    """

    about = "adapters for every task; class means in all their subspaces, missing ones made of similar classes"
    source = "Zhou et al. 2024, Expandable subspace ensemble for pre-trained model-based class-incremental learning"
    backbones = ("timm",)
    family = "expansion"
    reads_pixels = True
    needs_new_classes = True
    compete = "new"

    bottleneck: Annotated[int, Field(ge=1)] = hyper(64, "width of an adapter", "Zhou et al. 2024, the release")
    alpha: Annotated[float, Field(ge=0)] = hyper(0.1, "weight of the subspaces of other tasks", "Zhou et al. 2024")
    plain: bool = hyper(False, "the untuned backbone as a further subspace", "false: the release on CIFAR-100")
    beta: Annotated[float, Field(ge=0)] = hyper(
        0.0, "weight of the untuned backbone (plain)", "0: the release on CIFAR-100"
    )
    anew: bool = hyper(
        True,
        "missing means made of all newer classes, anew after each task; false: of the classes of the subspace's task",
        "true: the release on CIFAR-100 (recalc_sim)",
    )

    @classmethod
    def check_backbone(cls, model):
        check_transformer(cls.__name__, model)

    def build(self, scenario, model):
        backbone = Subspaces(build_backbone(model, scenario.image_shape), self.bottleneck)
        backbone.plain = self.plain
        beta = self.beta if self.plain else None
        return Network(backbone, SubspaceHead(backbone.features, self.layout.width(-1), self.alpha, beta, self.anew))

    def grow(self, task: TaskView) -> None:
        super().grow(task)
        self.network.backbone.add()
        new = task.outputs.stop - task.outputs.start
        self.network.classifier = CosineHead(self.network.backbone.features, new)

    def logits(self, batch):
        """The classifier's, in the columns of the new classes; the others are not active."""
        features = ranks.over_ranks(self.network.backbone.newest, batch.x)
        return F.pad(self.network.classifier(features.float()), (self.task.outputs.start, 0))

    def end_task(self, task: TaskView) -> None:
        del self.network.classifier
        self.network.head.add(features_of(self, task.train), task.train.labels)

    def footprint(self):
        return {"statistics": self.network.head.nbytes}


class Subspaces(AdaptedTransformer):
    """forward: float [N, C, H, W] -> [N, subspaces, d], the features with each set of adapters; those of the backbone itself
    first where it is `plain`, and alone as long as there are no adapters."""

    plain = False

    def newest(self, x: Tensor) -> Tensor:
        """Features [N, d] with the adapters that learn."""
        return self.features_with(x, self.sets - 1)

    def forward(self, x: Tensor) -> Tensor:
        first = [None] if self.plain or not self.sets else []
        return torch.stack([self.features_with(x, chosen) for chosen in [*first, *range(self.sets)]], dim=1)


class SubspaceHead(nn.Module):
    """means [classes, subspaces, d], double, of which those after a class's own task are made up; tasks [classes]: the
    class's, -1 before it was seen. beta: weight of the first subspace, where that is of no task; None: all are of tasks.
    """

    means: Tensor
    tasks: Tensor

    def __init__(self, features: int, n_outputs: int, alpha: float, beta: float | None, anew: bool):
        super().__init__()
        self.alpha, self.beta, self.anew = alpha, beta, anew
        self.register_buffer("means", torch.zeros(n_outputs, 0, features, dtype=torch.float64))
        self.register_buffer("tasks", torch.full((n_outputs,), -1))

    @property
    def n_outputs(self) -> int:
        return len(self.tasks)

    @property
    def first(self) -> int:
        """The subspace of task 0."""
        return 0 if self.beta is None else 1

    def grow(self, n: int) -> None:
        more = n - self.n_outputs
        self.means = F.pad(self.means, (0, 0, 0, 0, 0, more))
        self.tasks = F.pad(self.tasks, (0, more), value=-1)

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Images of the next task: features [N, subspaces, d], the newest subspace being that task's."""
        self.means = F.pad(self.means, (0, 0, 0, features.shape[1] - self.means.shape[1]))
        one_hot = F.one_hot(labels, self.n_outputs).to(features.device, torch.float64)
        seen = one_hot.sum(0) > 0
        means = torch.einsum("nc,nsd->csd", one_hot, features.double()) / one_hot.sum(0).clamp(min=1)[:, None, None]
        self.means[seen], self.tasks[seen] = means[seen], features.shape[1] - 1 - self.first
        self.complete()

    def complete(self) -> None:
        """Makes up the means of old classes in subspaces of later tasks."""
        for task in range(last := self.means.shape[1] - 1 - self.first):
            old, own = self.tasks == task, task + self.first
            for later in range(task + 1, last + 1):
                newer = self.tasks >= later if self.anew else self.tasks == later
                there = F.normalize(self.means[old, own], dim=1) @ F.normalize(self.means[newer, own], dim=1).T
                self.means[old, later + self.first] = there.softmax(dim=1) @ self.means[newer, later + self.first]

    def forward(self, features: Tensor, task: object = None) -> Tensor:
        """Features [N, subspaces, d] -> scores [N, classes], the lowest for classes that were not seen."""
        n = self.means.shape[1]
        cosines = torch.einsum("nsd,csd->ncs", *(F.normalize(v, dim=2) for v in (features[:, :n].double(), self.means)))
        weights = self.means.new_full((self.n_outputs, n), self.alpha / max(1, n - 1 - self.first))
        weights[:, : self.first] = self.beta or 0.0
        weights[torch.arange(self.n_outputs), self.tasks.clamp(min=0) + self.first] = 1.0 if n else 0.0
        return (cosines * weights).sum(dim=2).masked_fill(self.tasks < 0, LOWEST)

    @property
    def nbytes(self) -> int:
        return sum(b.nbytes for b in self.buffers())
