"""SLCA: slow learner with classifier alignment (Zhang et al. 2023)."""

import math
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field, PrivateAttr
from torch import Tensor, nn

from methods.core.method import Method, TaskView, hyper
from methods.core.recipe import OptimizerSettings, rounded
from methods.parts.features import features_of
from models import Network, build_backbone
from models.task_heads import TaskHeads


class SLCA(Method):
    """The backbone learns a hundred times slower than the head, which is then aligned on features drawn for all classes.

    Every class is kept as a Gaussian, N(mean, covariance) of its features; after each task but the first the head trains
    on draws from all of them, logits divided by the mean over tasks of a task's norm and by tau. Means are
    shrunk to 0.9 + 0.1 t / T, t the class's task (release). The next task starts from the head as it was before.

    Published training: SGD 0.01, momentum 0.9, weight decay 5e-4, 20 epochs in batches of 128 (ImageNet-R: 50).
    """

    about = "trains the backbone slowly; aligns the head on features drawn from a Gaussian of every class"
    source = (
        "Zhang et al. 2023, SLCA: Slow learner with classifier alignment for continual learning on a pre-trained model"
    )
    family = "regularisation"
    needs_new_classes = True
    compete = "new"

    backbone_rate: Annotated[float, Field(gt=0)] = hyper(
        0.01, "learning rate of the backbone, as a share of the head's", "Zhang et al. 2023, the release"
    )
    alignment_epochs: Annotated[int, Field(ge=0)] = hyper(
        5, "epochs of the head on draws; 0: none", "the release, CIFAR-100"
    )
    alignment_lr: Annotated[float, Field(gt=0)] = hyper(
        0.01, "learning rate of the head on draws, cosine over epochs", "the release"
    )
    tau: Annotated[float, Field(gt=0)] | None = hyper(
        0.1, "temperature of the normalised logits; null: logits as they are", "Zhang et al. 2023, CIFAR-100"
    )
    draws: Annotated[int, Field(ge=1)] = hyper(256, "draws of each class in an epoch, and in a batch", "the release")

    def build(self, scenario, model):
        self.statistics = ClassGaussians()
        self.unaligned: HeadValues | None = None
        backbone = build_backbone(model, scenario.image_shape)
        width = int(backbone.features)  # type: ignore[arg-type]  # every backbone has it
        return Network(backbone, TaskHeads(width, self.layout.width(-1), model.head_init))

    def grow(self, task: TaskView) -> None:
        if self.unaligned is not None:
            self.unaligned.restore(self.network.head)
        super().grow(task)

    def phases(self, task: TaskView):
        phase = self.phase(task.train)
        slow = [p for p in self.network.backbone.parameters() if p.requires_grad]
        settings = phase.recipe.optimizer.model_dump()
        optimizer = SlowBackbone(**settings, rate=self.backbone_rate).of(slow)
        phase.recipe = phase.recipe.model_copy(update={"optimizer": optimizer})
        yield phase

    def end_task(self, task: TaskView) -> None:
        head = self.network.head
        self.statistics.add(features_of(self, task.train), task.train.labels, task.id)
        self.unaligned = HeadValues(head)
        epochs = max(1, rounded(self.alignment_epochs * self.recipe.schedule_scale)) if self.alignment_epochs else 0
        if task.id == 0:
            return
        learns = [p.requires_grad for p in head.parameters()]
        settings = OptimizerSettings(lr=self.alignment_lr, momentum=0.9, weight_decay=5e-4)
        optimizer = settings.build(head.requires_grad_(True).parameters())
        for epoch in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = self.alignment_lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
            generator = self.generator("alignment", task.id, epoch)
            noise = torch.randn(*self.statistics.means[:, None].expand(-1, self.draws, -1).shape, generator=generator)
            x, y = self.statistics.drawn(noise.to(self.device))
            order = torch.randperm(len(y), generator=generator).to(self.device)
            align(head, optimizer, x[order].float(), y[order], self.draws, self.tau)
        for parameter, learning in zip(head.parameters(), learns, strict=True):
            parameter.requires_grad_(learning)


def align(
    head: TaskHeads, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, size: int, tau: float | None
) -> list[Tensor]:
    """One pass of `head` over features x [N, d] of classes y [N], `size` at a time; the loss of each step."""
    losses = []
    for features, labels in zip(x.split(size), y.split(size), strict=True):
        logits = head(features)
        loss = F.cross_entropy(logits if tau is None else normalised(logits, head.sizes) / tau, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


def normalised(logits: Tensor, sizes: list[int]) -> Tensor:
    """Logits [N, C] divided by the mean over tasks of the length of a task's logits; sizes: columns of each task."""
    lengths = torch.stack([part.norm(dim=1) + 1e-7 for part in logits.split(sizes, dim=1)])
    return logits / lengths.mean(dim=0)[:, None]


class ClassGaussians:
    """means [C, d], covariances [C, d, d] (of n - 1, plus 1e-4 of the identity) and tasks [C] of the classes seen."""

    def __init__(self) -> None:
        self.means, self.covariances = torch.zeros(0, 0), torch.zeros(0, 0, 0)
        self.tasks = torch.zeros(0, dtype=torch.int64)

    def add(self, features: Tensor, labels: Tensor, task: int) -> None:
        """Those of the next classes: features [n, d] of images with labels [n], the classes of `task`."""
        means, covariances = [], []
        for label in labels.unique().tolist():
            x = features[(labels == label).to(features.device)]
            means.append(x.mean(dim=0))
            centred = x - means[-1]
            spread = centred.T @ centred / max(1, len(x) - 1)
            covariances.append(spread + 1e-4 * torch.eye(len(spread), dtype=x.dtype, device=x.device))
        tasks = torch.full((len(means),), task)
        if not len(self.tasks):
            self.means, self.covariances, self.tasks = torch.stack(means), torch.stack(covariances), tasks
            return
        self.means = torch.cat([self.means, torch.stack(means)])
        self.covariances = torch.cat([self.covariances, torch.stack(covariances)])
        self.tasks = torch.cat([self.tasks, tasks])

    def shrunk(self) -> Tensor:
        """The means that draws are around: those of class c of task t (from 1) of T times 0.9 + 0.1 t / T."""
        share = (self.tasks.to(self.means.device) + 1) / (int(self.tasks.max()) + 1)
        return self.means * (0.9 + 0.1 * share.to(self.means.dtype))[:, None]

    def drawn(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Features [C n, d] and classes [C n] for standard normal noise [C, n, d]: one class after the other."""
        triangle = torch.linalg.cholesky(self.covariances.double())
        features = self.shrunk().double()[:, None] + noise.double() @ triangle.mT
        classes = torch.arange(len(noise), device=noise.device).repeat_interleave(noise.shape[1])
        return features.flatten(0, 1), classes

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in (self.means, self.covariances, self.tasks))


class HeadValues:
    """What the parameters of a head are at the moment."""

    def __init__(self, head: nn.Module):
        self.values = [p.detach().clone() for p in head.parameters()]

    @torch.no_grad()
    def restore(self, head: nn.Module) -> None:
        for parameter, value in zip(head.parameters(), self.values, strict=True):
            parameter.copy_(value)

    @property
    def nbytes(self) -> int:
        return sum(v.nbytes for v in self.values)


class SlowBackbone(OptimizerSettings):
    """An optimizer in which the parameters given to `of` have the learning rate times `rate`."""

    rate: float
    _slow: frozenset[int] = PrivateAttr(frozenset())

    def of(self, slow: list[nn.Parameter]) -> "SlowBackbone":
        self._slow = frozenset(map(id, slow))
        return self

    def build(self, parameters: Any) -> torch.optim.Optimizer:
        optimizer = super().build(parameters)
        (group,) = optimizer.param_groups
        slow = [p for p in group["params"] if id(p) in self._slow]
        if slow:
            group["params"] = [p for p in group["params"] if id(p) not in self._slow]
            optimizer.param_groups.append({**group, "params": slow, "lr": self.lr * self.rate})
        return optimizer
