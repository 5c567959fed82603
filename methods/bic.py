"""Bias correction (Wu et al. 2019)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.exemplar_training import even_draw, exemplar_memory, keep_exemplars, with_exemplars
from methods.parts.exemplars import Policy, Select
from methods.parts.features import head_logits
from methods.parts.teacher import Teacher
from models import Network
from scenarios import Examples


class CorrectedNetwork(Network):
    """logits = alpha_t o + beta_t for the columns first had by task t (BiC, eq. 4); `corrections[t]` is (alpha_t, beta_t)."""

    def __init__(self, backbone: nn.Module, head: nn.Module, widths: list[int]):
        super().__init__(backbone, head)
        self.corrections = nn.ParameterList(nn.Parameter(torch.tensor([1.0, 0.0])) for _ in widths)
        self.widths = widths

    def forward(self, x: Tensor, task: int | Tensor | None = None) -> Tensor:
        return self.correct(super().forward(x, task))

    def correct(self, logits: Tensor) -> Tensor:
        """Logits [N, columns so far], corrected."""
        own = zip(self.corrections, self.widths, strict=True)
        alpha, beta = torch.cat([c[:, None].expand(2, width) for c, width in own], dim=1)
        n = logits.shape[1]
        return logits * alpha[:n] + beta[:n]


class BiC(Method):
    """Stage 1: (1 - l) CE + l KD over new data and exemplars, l = C_old / C_total, T = 2 (eq. 1-3).

    Stage 2: the network fixed, alpha and beta of the newest classes' logits are learned by cross-entropy on an equal
    number of examples of every class that stage 1 did not see (eq. 4-5). Older corrections stay; all are applied,
    also in the teacher. PyCIL's stage 2 takes the cross-entropy of probabilities as if they were logits: a defect,
    not repeated here. Where new classes have no old ones to compete with, there is no stage 2.
    """

    about = "distils and rehearses exemplars, then learns two numbers that undo the bias to new classes"
    source = "Wu et al. 2019, Large scale incremental learning"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars stored in all, or of each class (policy)", "Wu et al. 2019, CIFAR-100"
    )
    policy: Policy = hyper(
        "total", 'exemplars that buffer_size counts: in all ("total") or of each class ("per_class")', "Wu et al. 2019"
    )
    select: Select = hyper("herding", "choice of exemplars", "Wu et al. 2019")
    temperature: Annotated[float, Field(gt=0)] = hyper(
        2.0, "temperature that softens both distributions", "Wu et al. 2019, section 5.2"
    )
    held_out: Annotated[float, Field(gt=0, lt=1)] = hyper(
        0.1,
        "part of an old class's share of the buffer that only stage 2 sees; as many of each new class",
        "Wu et al. 2019",
    )
    correction_epochs: Annotated[int, Field(ge=1)] = hyper(170, "epochs of stage 2", "PyCIL")
    correction_lr: Annotated[float, Field(gt=0)] = hyper(0.1, "learning rate of stage 2", "PyCIL")

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        self.teacher: Teacher | None = None
        network = self.backbone_and_head(scenario, model)
        new = [self.layout.new_columns(t) for t in range(self.layout.n_tasks)]
        return CorrectedNetwork(network.backbone, network.head, [c.stop - c.start for c in new])

    def phases(self, task: TaskView):
        learned = [p for name, p in self.network.named_parameters() if not name.startswith("corrections")]
        everything = with_exemplars(task.train, self.buffer)
        old = self.layout.rivals(task.id)
        if old.start == old.stop or not len(self.buffer):
            yield self.phase(everything, parameters=learned)
            return
        seen, unseen = self.hold_out(everything)
        yield self.phase(seen, parameters=learned)
        yield self.phase(
            unseen,
            name="correct",
            parameters=[self.network.corrections[task.id]],
            epochs=self.correction_epochs,
            steps=None,
            drop_last=False,
            optimizer=self.recipe.optimizer.model_copy(update={"lr": self.correction_lr}),
            loss=self._correction_loss,
        )

    def hold_out(self, examples: Examples) -> tuple[Examples, Examples]:
        """Those that stage 1 learns and, equally many a class, those kept for stage 2.

        A class with no more exemplars than are to be held out has them in both.
        """
        classes = torch.stack([examples.task_ids, examples.labels], dim=1)
        _, group, sizes = classes.unique(dim=0, return_inverse=True, return_counts=True)
        n = max(1, int(self.held_out * len(self.buffer) / len(self.buffer.classes)))
        n = min(n, int(sizes.min()))
        rows = even_draw(examples, n, self.generator("held out", self.task.id))
        stays = torch.ones(len(examples), dtype=torch.bool, device=rows.device)
        stays[rows] = sizes[group[rows]] <= n
        return examples[stays.nonzero().flatten()], examples[rows]

    def loss(self, batch: Batch):
        if self.teacher is None:
            return super().loss(batch)
        scores = self.network(batch.x)
        share = self.layout.share_of_old(self.task.id)
        old = self.teacher.loss(scores, batch.x, self.temperature)
        return (1 - share) * self.cross_entropy(scores, batch) + share * old

    def _correction_loss(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            logits = head_logits(self, batch)
        return self.cross_entropy(self.network.correct(logits), batch)

    def end_task(self, task: TaskView) -> None:
        keep_exemplars(self, self.buffer, task.train)
        self.teacher = Teacher(self.frozen_copy(), self.layout.past_groups(task.id + 1))
