"""PODNet, pooled outputs distillation (Douillard et al. 2020)."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from methods.core.losses import turned
from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.cosine import column_scales, fix_old_rows, imprint_new
from methods.parts.exemplar_training import exemplar_memory, keep_exemplars, with_exemplars
from methods.parts.exemplars import Policy, Select
from methods.parts.features import head_logits, head_phase
from methods.parts.teacher import Teacher
from models.cosine_heads import MultiProxyHead
from scenarios.active import ALL, ActiveClasses


class PODNet(Method):
    """NCA + sqrt(C_total / C_new) (flat * (1 - cos(f_old, f)) + spatial * POD-spatial) (eq. 3-7).

    NCA, on logits eta * y_hat of several proxies a class: [log sum_{i != y} exp(eta y_hat_i) - eta (y_hat_y - margin)]_+;
    the margin's part has no gradient for the learned eta.
    POD-spatial compares the squared maps of each stage, summed over height and over width; a backbone without
    `forward_stages` has the flat term alone. New proxies start at k-means centres of their class's features; old ones
    stay fixed but in the fine-tuning of the head on an equal number of exemplars of every class.
    """

    about = "distils pooled feature maps; several cosine proxies a class; balanced fine-tuning of the head"
    source = "Douillard et al. 2020, PODNet: Pooled outputs distillation for small-tasks incremental learning"
    family = "replay"
    version = 2
    reads_targets = False

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars stored in all, or of each class (policy)", "Douillard et al. 2020: 20 of each of 100 classes"
    )
    policy: Policy = hyper(
        "total",
        'exemplars that buffer_size counts: in all ("total") or of each class ("per_class")',
        "total; per_class: Douillard et al. 2020 (20)",
    )
    select: Select = hyper("herding", "choice of exemplars", "Douillard et al. 2020")
    proxies: Annotated[int, Field(ge=1)] = hyper(10, "proxies of each class", "Douillard et al. 2020, section 3.2")
    margin: Annotated[float, Field(ge=0)] = hyper(0.6, "margin of the NCA loss", "Douillard et al. 2020")
    nca: Literal["paper", "release"] = hyper(
        "paper",
        'form of the NCA loss: "paper": eq. 7; "release": the margin is subtracted from every column, so that it cancels, the own class counts as the greatest logit in the denominator, and there is no hinge',
        "paper: Douillard et al. 2020; release: Douillard's incremental_learning",
    )
    similarity: Literal["cosine", "distance"] = hyper(
        "cosine",
        'similarity of feature and proxy: their "cosine", or the negative squared "distance" of the two, 2 cos - 2',
        "cosine: Douillard et al. 2020, eq. 6; distance: Douillard's code",
    )
    flat: Annotated[float, Field(ge=0)] = hyper(1.0, "weight of POD-flat", "Douillard et al. 2020, CIFAR-100")
    spatial: Annotated[float, Field(ge=0)] = hyper(
        3.0,
        "weight of POD-spatial",
        "Douillard et al. 2020, CIFAR-100 with the head; 5 with nearest means, 8 on ImageNet",
    )
    clamp: Annotated[float, Field(gt=0)] = hyper(
        5.0, "bound of every gradient element, up and down", "Douillard's code"
    )
    finetune_epochs: Annotated[int, Field(ge=0)] = hyper(
        20, "epochs of balanced fine-tuning of the head; 0: none", "Douillard's code"
    )
    finetune_lr: Annotated[float, Field(gt=0)] = hyper(
        0.05, "learning rate of the fine-tuning", "0.05: Douillard's code; 0.005 for the whole network: PyCIL"
    )

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        self.teacher: Teacher | None = None
        if hasattr(model, "last_relu"):
            model = model.model_copy(update={"last_relu": False})
        return self.backbone_and_head(
            scenario, model, partial(MultiProxyHead, proxies=self.proxies, distance=self.similarity == "distance")
        )

    def begin_task(self, task: TaskView) -> None:
        self._fixed = None
        if task.id:
            imprint_new(self, task.train)
            self._fixed = fix_old_rows(self)

    def phases(self, task: TaskView):
        yield self.phase(with_exemplars(task.train, self.buffer))
        keep_exemplars(self, self.buffer, task.train)
        self._fixed = None
        if task.id and self.finetune_epochs:
            yield head_phase(self, self.buffer.examples(), self.finetune_epochs, self.finetune_lr, self._head_loss)

    def loss(self, batch: Batch):
        features, maps = stages(self.network.backbone, batch.x, self.compiled)
        loss = self._nca(self.network.classify(features), batch)
        if self.teacher is None:
            return loss
        with torch.no_grad():
            old_features, old_maps = stages(self.teacher.network, batch.x)
        kept = self.flat * turned(features, old_features)
        if maps:
            kept = kept + self.spatial * pod_spatial(maps, old_maps)
        return loss + (1 - self.layout.share_of_old(self.task.id)) ** -0.5 * kept

    def _nca(self, logits: Tensor, batch: Batch) -> Tensor:
        # detached: where the margin is not met, the loss would otherwise fall with eta, down to a negative one
        margins = self.margin * column_scales(self.network.head).detach()
        return nca(logits, batch.y, margins, batch.active, self.nca)

    def _head_loss(self, batch: Batch) -> Tensor:
        return self._nca(head_logits(self, batch), batch)

    def adjust_gradients(self, batch: Batch) -> None:
        nn.utils.clip_grad_value_(self.network.parameters(), self.clamp)

    def after_step(self, batch: Batch) -> None:
        if self._fixed is not None:
            self._fixed.restore()

    def end_task(self, task: TaskView) -> None:
        self.teacher = Teacher(self.frozen_copy(self.network.backbone))


def stages(backbone: nn.Module, x: Tensor, through: Callable[[Any], Any] = lambda call: call) -> Any:
    """Features and the maps of each stage; none where the backbone has no stages. through: what the call goes through."""
    return through(backbone.forward_stages)(x) if hasattr(backbone, "forward_stages") else (backbone(x), [])


def pod_spatial(maps: list[Tensor], old: list[Tensor]) -> Tensor:
    """Mean over stages and images of |p(h) - p(h_old)|, h [N, c, H, W] (eq. 4).

    p: h squared, summed over width and over height, both put in a row [N, c (H + W)] and brought to length 1.
    """

    def pooled(h: Tensor) -> Tensor:
        h = h.float().square()
        return F.normalize(torch.cat([h.sum(3).flatten(1), h.sum(2).flatten(1)], dim=1), dim=1)

    distances = [(pooled(a) - pooled(b)).norm(dim=1).mean() for a, b in zip(maps, old, strict=True)]
    return torch.stack(distances).mean()


def nca(logits: Tensor, labels: Tensor, margins: Tensor, active: ActiveClasses = ALL, form: str = "paper") -> Tensor:
    """The NCA loss with a margin (eq. 7), mean over the batch; see the setting `nca`.

    logits [N, C] = eta y_hat; labels int64 [N]; margins [C] = eta * margin.
    """
    logits = active.fill(logits)
    own = F.one_hot(labels, logits.shape[1]).bool()
    if form == "release":
        logits = logits - logits.max(1, keepdim=True).values
    right = logits.gather(1, labels[:, None]).squeeze(1)  # a mask would ask the device how many there are
    if form == "release":
        return (logits.masked_fill(own, 0).logsumexp(1) - right).mean()
    lowest = torch.finfo(logits.dtype).min
    return (logits.masked_fill(own, lowest).logsumexp(1) - right + margins[labels]).clamp(min=0).mean()
