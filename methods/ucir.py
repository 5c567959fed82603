"""UCIR, a unified classifier learned by rebalancing (Hou et al. 2019)."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from methods.core.losses import turned
from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.cosine import column_scales, fix_old_rows, imprint_new
from methods.parts.exemplar_training import exemplar_memory, keep_exemplars, with_exemplars
from methods.parts.exemplars import Policy, Select
from methods.parts.features import head_logits, head_phase
from methods.parts.nearest_mean import NearestMean
from methods.parts.teacher import Teacher
from models.cosine_heads import CosineHead


class UCIR(Method):
    """CE + l (1 - cos(f_old, f)) + margin ranking, on a cosine head of learned scale (eq. 4, 6, 8, 9).

    l = less_forget * sqrt(C_old / C_new). Margin ranking, on exemplars: over the `ranked` new classes k that score
    highest, max(margin - cos(own class) + cos(k), 0), mean over exemplars. Features may be negative (the last ReLU is left out); new
    rows start at their class's mean feature; old ones stay fixed but in the fine-tuning of the head on an equal
    number of exemplars of every class.
    """

    about = "cosine head, old features and margins kept on exemplars, balanced fine-tuning of the head"
    source = "Hou et al. 2019, Learning a unified classifier incrementally via rebalancing"
    family = "replay"
    version = 2
    reads_targets = False

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars stored in all, or of each class (policy)", "Hou et al. 2019: 20 of each of 100 classes"
    )
    policy: Policy = hyper(
        "total",
        'exemplars that buffer_size counts: in all ("total") or of each class ("per_class")',
        "total; per_class: Hou et al. 2019 (20)",
    )
    select: Select = hyper("herding", "choice of exemplars", "Hou et al. 2019")
    less_forget: Annotated[float, Field(ge=0)] = hyper(
        5.0, "base weight of the feature distillation", "Hou et al. 2019"
    )
    adaptive: Literal["old", "total"] = hyper(
        "old",
        'classes C in the factor sqrt(C / C_new) on the base weight: the "old" ones or the "total"',
        "old: the authors' release, PyCIL (the paper prints the inverse); total: Douillard's incremental_learning",
    )
    margin: Annotated[float, Field(ge=0)] = hyper(
        0.5, "margin of the ranking, between cosines", "0.5: Hou et al. 2019, CIFAR-100; 0.2: Douillard's code"
    )
    ranked: Annotated[int, Field(ge=1)] = hyper(
        2, "new classes that an exemplar is ranked against", "2: Hou et al. 2019; max(2, new classes): Douillard's code"
    )
    ranking: Annotated[float, Field(ge=0)] = hyper(1.0, "weight of the margin ranking", "Hou et al. 2019")
    ranking_over: Literal["mean", "sum"] = hyper(
        "mean",
        "reduction of the terms of an exemplar's ranked classes; between exemplars it is always the mean",
        "mean: the authors' release; sum: Hou et al. 2019, eq. 8",
    )
    fix_old: bool = hyper(True, "rows of old classes kept fixed in the main phase", "Hou et al. 2019, section 3.3")
    finetune_epochs: Annotated[int, Field(ge=0)] = hyper(
        20,
        "epochs of balanced fine-tuning of the head; 0: none",
        "Douillard's incremental_learning; the authors' release: an option",
    )
    finetune_lr: Annotated[float, Field(gt=0)] = hyper(
        0.05, "learning rate of the fine-tuning", "0.05: Douillard; 0.01: the release"
    )
    classify: Literal["cnn", "nme"] = hyper(
        "cnn",
        "classifier at test: the head, or the nearest mean of exemplars",
        "Hou et al. 2019 report both; nme: Douillard's code",
    )

    def answers_unseen(self, layout):
        return self.classify == "cnn" or layout.columns[0] == layout.columns[-1]  # else no exemplars have the classes

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        self.teacher: Teacher | None = None
        self.means: NearestMean | None = None
        if hasattr(model, "last_relu"):
            model = model.model_copy(update={"last_relu": False})
        return self.backbone_and_head(scenario, model, partial(CosineHead, proxies=1))

    def begin_task(self, task: TaskView) -> None:
        self._fixed = None
        if task.id:
            imprint_new(self, task.train)
            if self.fix_old:
                self._fixed = fix_old_rows(self)

    def phases(self, task: TaskView):
        yield self.phase(with_exemplars(task.train, self.buffer))
        keep_exemplars(self, self.buffer, task.train)
        self._fixed = None
        if task.id and self.finetune_epochs:
            yield head_phase(self, self.buffer.examples(), self.finetune_epochs, self.finetune_lr, self._head_loss)

    def loss(self, batch: Batch):
        if self.teacher is None:
            return super().loss(batch)
        features = self.network.backbone(batch.x)
        before, logits = self.teacher(batch.x), self.network.classify(features)
        return self.cross_entropy(logits, batch) + self._weight() * turned(features, before) + self._rank(logits, batch)

    def _weight(self) -> float:
        share = self.layout.share_of_old(self.task.id)
        return self.less_forget * ((share if self.adaptive == "old" else 1.0) / (1 - share)) ** 0.5

    def _rank(self, logits: Tensor, batch: Batch) -> Tensor:
        """The weighted margin ranking loss; 0 where no example of the batch is of an old class that new ones rival."""
        old, new = self.layout.rivals(self.task.id), self.layout.new_columns(self.task.id)
        if old.start == old.stop:
            return logits.new_zeros(())
        cosines = logits / column_scales(self.network.head)
        own = cosines.gather(1, batch.y[:, None])
        hardest = cosines[:, new].topk(min(self.ranked, new.stop - new.start), dim=1).values
        is_old = (batch.y < new.start).to(logits.dtype)
        terms = (self.margin - own + hardest).clamp(min=0)
        losses = (terms.mean(1) if self.ranking_over == "mean" else terms.sum(1)) * is_old
        return self.ranking * losses.sum() / is_old.sum().clamp(min=1)

    def _head_loss(self, batch: Batch) -> Tensor:
        return self.cross_entropy(head_logits(self, batch), batch)

    def after_step(self, batch: Batch) -> None:
        if self._fixed is not None:
            self._fixed.restore()

    def end_task(self, task: TaskView) -> None:
        self.teacher = Teacher(self.frozen_copy(self.network.backbone))
        if self.classify == "nme":
            self.means = NearestMean(self, self.buffer)

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        if self.means is None:
            return self.network(x)
        return self.means.scores(self.network.backbone(x), self.layout.width(self.seen - 1))
