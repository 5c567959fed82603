"""FOSTER, feature boosting and compression (Wang et al. 2022)."""

import copy
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from methods.core.losses import distillation
from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.exemplar_training import exemplar_memory, keep_exemplars, with_exemplars
from methods.parts.exemplars import Policy, Select
from methods.parts.teacher import Teacher
from models import Network
from models.parallel import ParallelBackbones, fresh_head, widened_head


class FOSTER(Method):
    """Boosting: a second backbone beside the frozen old one, CE(o / w) + CE(o_new) + KD(old columns, T) (eq. 8-10).

    o: logits over both features, whose layer starts with the old weights; o_new: of the new features alone; w_c =
    (1 - b) / (1 - b^n_c), mean 1, n_c the examples of class c (effective numbers). Compression: one backbone, which
    starts as the old one, learns the boosted network's answers, softened and weighted by w with an own b (eq. 11-12).
    It is the network from then on. Distillations are without the T^2, as in the release.
    """

    about = "boosts the old network with a second backbone, then distils both into one"
    source = "Wang et al. 2022, FOSTER: Feature boosting and compression for class-incremental learning"
    family = "expansion"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars stored in all, or of each class (policy)", "Wang et al. 2022, B0"
    )
    policy: Policy = hyper(
        "total",
        'exemplars that buffer_size counts: in all ("total") or of each class ("per_class")',
        "total; per_class: Wang et al. 2022, B50 (20)",
    )
    select: Select = hyper("herding", "choice of exemplars", "Wang et al. 2022")
    temperature: Annotated[float, Field(gt=0)] = hyper(
        2.0, "temperature that softens both distributions", "Wang et al. 2022; the release"
    )
    distill: Annotated[float, Field(ge=0)] = hyper(
        1.0, "weight of the distillation in boosting", "the release: lambda_okd"
    )
    boosting_beta: Annotated[float, Field(ge=0, lt=1)] = hyper(
        0.94,
        "b of the class weights in boosting",
        ".94: the release, B50 with 10 or 5 new classes; .96: PyCIL; .95: 1 or 2",
    )
    compression_beta: Annotated[float, Field(ge=0, lt=1)] = hyper(
        0.97, "b of the class weights in compression", "the release"
    )
    compression_epochs: Annotated[int, Field(ge=1)] = hyper(130, "epochs of the compression", "the release")
    compression_lr: Annotated[float, Field(gt=0)] = hyper(
        0.1, "learning rate of the compression, cosine, without weight decay", "the release"
    )
    herd_by: Literal["teacher", "student"] = hyper(
        "teacher",
        'network whose features choose the exemplars: the boosted "teacher", both backbones, or the compressed "student"',
        "teacher: the release; student: PyCIL",
    )
    keep: Literal["student", "teacher"] = hyper(
        "student",
        'network that answers after a task: the compressed "student", or the boosted "teacher" with two backbones; the next task goes on from the student',
        'Wang et al. 2022: "FOSTER" and "FOSTER B4"',
    )

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        self.teacher: Teacher | None = None
        self._old_head: Any = None
        self._new_head: Any = None
        return super().build(scenario, model)

    def phases(self, task: TaskView):
        data = with_exemplars(task.train, self.buffer)
        if task.id == 0:
            yield self.phase(data)
            return
        student, counts = self.network, class_counts(data.labels, self.layout.width(task.id))
        self._weights = effective_weights(counts, self.boosting_beta).to(self.device)
        self._boost(student)
        boosted = [p for p in self.network.parameters() if p.requires_grad]
        yield self.phase(
            data, name="boost", parameters=[*boosted, *self._new_head.parameters()], loss=self._boosting_loss
        )
        self.teacher, self.network = Teacher(self.frozen_copy()), student
        self._old_head = self._new_head = None
        self._weights = effective_weights(counts, self.compression_beta).to(self.device)
        yield self.phase(
            data,
            name="compress",
            epochs=self.compression_epochs,
            steps=None,
            optimizer=self.recipe.optimizer.model_copy(update={"lr": self.compression_lr, "weight_decay": 0.0}),
            schedule="cosine",
            loss=self._compression_loss,
        )

    def _boost(self, old: Network) -> None:
        """The network becomes two backbones that start as the old one's, the first frozen; `old` itself is left alone."""
        backbone = ParallelBackbones([copy.deepcopy(old.backbone), copy.deepcopy(old.backbone)])
        self.network = Network(backbone, widened_head(old.head, backbone.features)).to(self.device)
        self._old_head = copy.deepcopy(old.head).requires_grad_(False)
        self._new_head = fresh_head(old.head, backbone.newest)
        self._settle_network()  # another network than the task began with, to be run as the recipe says

    def _boosting_loss(self, batch: Batch) -> Tensor:
        features = self.network.backbone(batch.x)
        newest = self.network.backbone.newest
        logits, new = self.network.classify(features), self._new_head(features[:, -newest:])
        answers = self._old_head(features[:, :-newest])
        groups = self.layout.past_groups(self.task.id)
        kept = sum(distillation(logits[:, g], answers[:, g], self.temperature, squared=False) for g in groups)
        balanced = self.cross_entropy(logits / self._weights, batch)
        return balanced + self.cross_entropy(new, batch) + self.distill * kept

    def _compression_loss(self, batch: Batch) -> Tensor:
        assert self.teacher is not None, "set between the two phases"
        answers = self.teacher(batch.x)
        scores, groups = self.network(batch.x), self.layout.past_groups(self.task.id + 1)
        terms = [balanced_distillation(scores[:, g], answers[:, g], self._weights[g], self.temperature) for g in groups]
        return torch.stack(terms).sum()

    def end_task(self, task: TaskView) -> None:
        keep_exemplars(
            self, self.buffer, task.train, self.teacher.network if self.teacher and self.herd_by == "teacher" else None
        )
        if self.keep == "student":
            self.teacher = None

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        return self.network(x) if self.teacher is None else self.teacher(x)


def class_counts(labels: Tensor, columns: int) -> Tensor:
    """Examples of each column, int64 [columns]."""
    return torch.bincount(labels.cpu(), minlength=columns)


def effective_weights(counts: Tensor, beta: float) -> Tensor:
    """(1 - b) / (1 - b^n_c), divided by its mean over the classes present; 1 for absent ones. counts [C] -> [C].

    Cui et al. 2019, Class-balanced loss based on effective number of samples.
    """
    present = counts > 0
    weights = (1 - beta) / (1 - beta ** counts.clamp(min=1).double())
    weights = weights / weights[present].mean()
    return torch.where(present, weights, 1.0).float()


def balanced_distillation(student: Tensor, teacher: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the softened student against the softened teacher, its probabilities weighted and renormalised.

    student, teacher [N, C]; weights [C].
    """
    q = F.softmax(teacher.float() / temperature, dim=1) * weights
    q = q / q.sum(1, keepdim=True)
    return -(q * F.log_softmax(student.float() / temperature, dim=1)).sum(1).mean()
