"""What DyTox and DNE have in common: losses, the two phases of a task, and the memory of exemplars."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from methods.core import losses
from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts import sam
from methods.parts.balanced_finetuning import finetuning_phase, herded
from methods.parts.distributed_memory import DistributedMemory, Sharing
from methods.parts.exemplar_training import classes_of_tasks
from models import ModelSettings, ranks
from scenarios import OutputLayout, Scenario

ADAPTIVE = "Kwon et al. 2021 (ASAM)"


class TaskTransformer(Method):
    """A transformer with a token and a head a task, trained in two phases.

    The first on the new data and the memory, by (1 - l) classification + l distillation + divergence, with the old
    tokens and heads frozen; from the second task on then a balanced fine-tuning on the memory alone, with the encoder
    frozen. A subclass says which network it is (`backbones`) and what the old one answers.
    """

    about = "a transformer with a token and a head a task"
    family = "expansion"

    criterion: Literal["bce", "ce"] = hyper(
        "bce",
        'classification loss: "bce", each column a yes or no, mean over images and columns; "ce", softmax cross-entropy',
        "bce: Douillard et al. 2022 and DNE's release; ce: Hu et al. 2023, section 3.4",
    )
    distillation: Annotated[float, Field(ge=0, le=1)] | None = hyper(
        None, "weight of distillation, 1 minus it of classification; null: old columns / all", "Douillard et al. 2022"
    )
    distillation_mean: Literal["columns", "images"] = hyper(
        "columns",
        'divergence from the old answers at temperature 1: summed over columns and averaged over "images", or averaged '
        'over both ("columns"), which is as many times weaker as there are old columns',
        "columns: DyTox's and DNE's releases (reduction 'mean'); images: Hinton et al. 2015",
    )
    divergence: Annotated[float, Field(ge=0)] = hyper(
        0.1, "weight of telling the new classes from all older ones (DNE: task expertise)", "Douillard et al. 2022"
    )
    buffer_size: Annotated[int, Field(ge=1)] = hyper(2000, "exemplars in all (memory_size)", "Douillard et al. 2022")
    memory: Sharing = hyper(
        "global",
        '"global": one set; "distributed": each of `ranks` chooses its share from all data by its own augmented views and '
        'trains on the new data and its own; "shards": each chooses its share from its shard, all train on the union; '
        '"each": as distributed with a whole budget a rank, up to ranks x buffer_size images (not comparable)',
        "global, distributed: erratum of Douillard et al. 2022; each: its first version, and DNE's release; shards: ours",
    )
    ranks: Annotated[int, Field(ge=1)] = hyper(
        1, "processes whose memories are kept and that fine-tune side by side, however many the run has itself"
    )
    herding: Literal["augmented", "plain"] = hyper(
        "augmented",
        "images by whose embeddings exemplars are chosen: as the recipe augments them, or as stored",
        "augmented: Douillard et al. 2022, release; plain: Rebuffi et al. 2017",
    )
    finetune_epochs: Annotated[int, Field(ge=0)] = hyper(20, "epochs of balanced fine-tuning", "Douillard et al. 2022")
    finetune_lr: Annotated[float, Field(gt=0)] = hyper(
        0.1, "constant learning rate of the fine-tuning, as part of the recipe's", "Douillard et al. 2022: 5e-5 of 5e-4"
    )
    finetune_order: Literal["shuffled", "stored"] = hyper(
        "shuffled",
        'order of exemplars in an epoch of the fine-tuning: random, or "stored": one after the other as chosen, once on each of `ranks`, a smaller last batch, of the newest classes, left out',
        "stored: DyTox's and DNE's releases (ft_no_sampling), 2 and 4 ranks; shuffled: our choice",
    )
    sam: Annotated[float, Field(ge=0)] = hyper(
        0.0, "rho of sharpness-aware minimisation from the second task on", "DyTox++: 3.0; DyTox: 0"
    )
    sam_eta: Annotated[float, Field(ge=0)] = hyper(
        0.0, "eta of sharpness-aware minimisation, added to |w|", f"0: DyTox's release; 0.01: {ADAPTIVE}"
    )
    sam_adaptive: bool = hyper(
        True,
        "sharpness-aware steps as long as the weights are; false: the same for all",
        f"yes: {ADAPTIVE}, DyTox++; no: Foret 2021",
    )
    added_later = frozenset({"sam_adaptive"})

    # ---- what a subclass gives ------------------------------------------------------------------------------

    def _old_logits(self, batch: Batch, parts: Any) -> Tensor:
        """What the old network says to the batch, [N, old columns], without gradient; from the second task on."""
        raise NotImplementedError

    def _frozen_in_finetuning(self) -> tuple[str, ...]:
        """Parameter groups of the network that balanced fine-tuning leaves alone."""
        raise NotImplementedError

    # ---- life cycle -----------------------------------------------------------------------------------------

    @classmethod
    def incompatibility(cls, layout: OutputLayout) -> str | None:
        if layout.n_tasks > 1 and layout.columns[0] == layout.columns[1]:
            return (
                f"{cls.__name__} gives each task a token and a head for its own classes, and these tasks share theirs"
            )
        return super().incompatibility(layout)

    def answers_unseen(self, layout: OutputLayout) -> bool:
        return False

    def build(self, scenario: Scenario, model: ModelSettings) -> nn.Module:
        if self.sam:
            self.refuse_fp16("the worst weights nearby (sam) of an infinite gradient are none")
        self.buffer = DistributedMemory(
            self.buffer_size,
            "total",
            "herding",
            self.generator("buffer"),
            self.memory,
            self.ranks,
            classes_of_tasks(self.layout),
        )
        self._moved: list[tuple[nn.Parameter, Tensor]] = []
        return model.build(scenario.image_shape)

    def grow(self, task: TaskView) -> None:
        self.network.expand(task.outputs.stop)

    def begin_task(self, task: TaskView) -> None:
        self.network.freeze(*(("old_tokens", "old_heads") if task.id else ()))

    def phases(self, task: TaskView):
        data, sampling = self.buffer.beside(task.train, self.recipe.repeated_augmentation)
        yield self.phase(data, sampling=sampling)
        herded(self, self.buffer, task.train, self.herding == "augmented")
        if task.id and self.finetune_epochs:
            stored = self.buffer.in_order(self.ranks) if self.finetune_order == "stored" else (self.buffer.examples(),)
            yield finetuning_phase(
                self,
                stored[0],
                self.finetune_epochs,
                self.finetune_lr,
                self._frozen_in_finetuning(),
                self._classification_alone,
                *stored[1:],
            )

    def end_task(self, task: TaskView) -> None:
        self.network.drop_training_parts()
        self.network.freeze()

    # ---- losses ---------------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> Tensor:
        parts = self.compiled(self.network.forward_parts)(batch.x)
        classification = self._classification(parts.logits, batch)
        if parts.divergence is None:
            return classification
        old = self._old_logits(batch, parts)
        share = old.shape[1] / parts.logits.shape[1] if self.distillation is None else self.distillation
        total = (1 - share) * classification + share * self._distillation(parts.logits, old)
        return total + self.divergence * self._divergence(parts.divergence, batch, old.shape[1])

    def _classification_alone(self, batch: Batch) -> Tensor:
        return self._classification(self.network(batch.x), batch)

    def _classification(self, logits: Tensor, batch: Batch) -> Tensor:
        if self.criterion == "ce":
            return self.cross_entropy(logits, batch)
        return losses.binary_cross_entropy(logits, _targets(batch, logits.shape[1]), batch.active)

    def _distillation(self, logits: Tensor, old: Tensor) -> Tensor:
        """Kullback-Leibler divergence from the old answers, of each group of columns that is a distribution."""
        terms = []
        for group in self.layout.past_groups(self.task.id):
            group = slice(
                group.start, min(group.stop, old.shape[1])
            )  # of active columns that have yet to be made: none
            log_p, log_q = (F.log_softmax(x[:, group].float(), dim=1) for x in (logits, old))
            total = F.kl_div(log_p, log_q, reduction="sum", log_target=True)
            terms.append(total / (log_q.numel() if self.distillation_mean == "columns" else len(log_q)))
        return torch.stack(terms).mean()

    def _divergence(self, scores: Tensor, batch: Batch, old: int) -> Tensor:
        """scores [N, 1 + new columns]: column 0 is any of the `old` classes (eq. 9 of Douillard et al. 2022)."""
        targets = _targets(batch, old + scores.shape[1] - 1)
        targets = torch.cat([targets[:, :old].sum(1, keepdim=True), targets[:, old:]], dim=1)
        if self.criterion == "ce":
            return F.cross_entropy(scores.float(), targets)
        return losses.binary_cross_entropy(scores, targets)

    # ---- sharpness-aware steps ------------------------------------------------------------------------------

    def observe(self, batch: Batch, optimizer, phase) -> Tensor:
        """With `sam`, the step's gradient is that of the worst weights nearby; a second pass finds them first."""
        if self.sam and self.task.id and phase.loss is None:
            optimizer.zero_grad()
            with self.precision(), ranks.divided_batches():
                loss = self.loss(batch)
            # fp16 gradients are scaled up, which does not move the direction
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            ranks.average_gradients(phase.parameters)
            self._moved = sam.ascend(phase.parameters, self.sam, self.sam_eta, self.sam_adaptive)
        return super().observe(batch, optimizer, phase)

    def adjust_gradients(self, batch: Batch) -> None:
        sam.restore(self._moved)
        self._moved = []

    # ---- memory ---------------------------------------------------------------------------------------------

    def footprint(self) -> dict[str, int]:
        return {"buffer": self.buffer.nbytes} if len(self.buffer) else {}

    def diagnostics(self) -> dict[str, float]:
        apart = {"exemplars.overlap": self.buffer.overlap} if len(self.buffer.parts) > 1 else {}
        return {"exemplars": self.buffer.distinct, **apart}


def _targets(batch: Batch, columns: int) -> Tensor:
    """What each image is, [N, columns], float: one-hot, or parts of two where images are mixed."""
    if batch.targets is None:
        return F.one_hot(batch.y, columns).float()
    return batch.targets[:, :columns].float()
