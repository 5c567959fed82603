"""How a phase is trained: optimizer, length, batches, learning-rate schedule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import Tensor, nn

from methods.core.augmentation import PRESETS, Operations, preset
from methods.core.batch import Batch
from methods.core.compiled import Compile
from methods.core.hyperparameters import explain
from methods.core.sampling import Sampling
from methods.core.schedule import Schedule, lr_factor
from scenarios import Examples
from scenarios.mixup import Mixup
from scenarios.nearest import nearest

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class OptimizerSettings(BaseModel):
    """An optimizer of torch.optim, without its state."""

    model_config = STRICT
    name: Literal["sgd", "adam", "adamw", "adagrad"] = "sgd"
    lr: float = Field(0.01, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1, description="sgd only")
    weight_decay: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _momentum_is_sgd(self):
        if self.momentum and self.name != "sgd":
            raise ValueError(f"momentum belongs to sgd, not to {self.name}")
        return self

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A fresh optimizer over `parameters`, fused where torch has it (about twice as fast for Adam)."""
        parameters = list(parameters)
        fused = all(p.device.type != "meta" for p in parameters)  # there is nothing to fuse without values
        common: dict[str, Any] = {"lr": self.lr, "weight_decay": self.weight_decay, "fused": fused}
        if self.name == "sgd":
            optimizer = torch.optim.SGD(parameters, momentum=self.momentum, **common)
            if self.momentum:
                # torch's fused SGD fails when a parameter gets its first gradient later than the others, as the
                # heads of a multi-head network do; a momentum of zeros from the start is the same arithmetic
                for p in parameters:
                    optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
            return optimizer
        if self.name == "adagrad" and any(p.device.type != "cpu" for p in parameters):
            common["fused"] = False  # torch has it for the processor only
        return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adagrad": torch.optim.Adagrad}[self.name](
            parameters, **common
        )


class ClipGradient(BaseModel):
    """Gradients held down before each step: every element to +-value, or all of them together to a length of norm."""

    model_config = STRICT
    value: float | None = Field(None, gt=0)
    norm: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_way(self):
        if (self.value is None) == (self.norm is None):
            raise ValueError("give exactly one of value and norm")
        return self

    def __call__(self, parameters: Iterable[nn.Parameter]) -> None:
        """Changes the `.grad`s in place; waits for no device."""
        if self.value is not None:
            nn.utils.clip_grad_value_(parameters, self.value)
        else:
            nn.utils.clip_grad_norm_(parameters, float(self.norm or 0))


class Recipe(BaseModel):
    """How each task is trained unless a method's phase says otherwise."""

    model_config = STRICT
    epochs: int | None = Field(5, ge=1, description="passes over a task's data; null where `steps` is given")
    steps: int | None = Field(None, ge=1, description="minibatches a task, instead of epochs")
    batch_size: int = Field(64, ge=1)
    drop_last: bool = Field(False, description="leave out a last, smaller batch of an epoch")
    repeated_augmentation: int = Field(
        1,
        ge=1,
        description="views of an image in a batch, each augmented anew (Hoffer et al. 2020); as many batches as without",
    )
    optimizer: OptimizerSettings = OptimizerSettings(lr=0.01, momentum=0.9)
    lr_batch: int | None = Field(
        None,
        ge=1,
        description="learning rates, also those that a method names for phases, are those of a batch of this size, and "
        "in proportion for others; null: as is",
    )
    optimizer_state: Literal["fresh", "kept"] = Field(
        "fresh", description='"kept": the optimizer and its state live on into the next task'
    )
    schedule: Schedule = Field("constant", description="learning rate over a phase")
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="multistep: epochs after which the learning rate is multiplied by gamma"
    )
    gamma: float = Field(0.1, gt=0, le=1, description="multistep: factor at each milestone")
    warmup_epochs: int = Field(0, ge=0, description="epochs in which the learning rate rises from warmup_start")
    warmup_start: float = Field(0.0, ge=0, description="learning rate that a warm-up starts from")
    min_lr: float = Field(0.0, ge=0, description="cosine: learning rate at the end")
    clip_gradient: ClipGradient | None = Field(None, description="{value: 5.0} or {norm: 1.0}; null: as they are")
    first: dict[str, Any] = Field(
        {}, description="what differs for the first task: any of the settings above, e.g. {epochs: 200}"
    )
    schedule_scale: float = Field(
        1.0, gt=0, description="0.1: every phase a tenth as long, its milestones and warm-up scaled alike"
    )
    augmentation: Operations = Field(
        (), description=f"operations in order, e.g. [{{op: crop, padding: 4}}], or one of {', '.join(PRESETS)}"
    )
    mixup: Mixup | None = Field(None, description="{alpha: 0.8}: images of a batch mixed in pairs")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="spread over the active classes")
    precision: Literal["fp32", "bf16", "fp16", "auto"] = Field(
        "fp32", description='of forward passes; "auto": bf16 where the hardware multiplies it, else fp32'
    )
    channels_last: bool = Field(
        False, description="images and convolutions in channels-last memory order, where that is safe"
    )
    compile: Compile = Field(
        False, description="the backbone through torch.compile; reduce-overhead: and launched as CUDA graphs"
    )

    added_later: ClassVar[frozenset[str]] = frozenset(
        {"lr_batch", "milestones", "gamma", "warmup_epochs", "warmup_start", "min_lr", "clip_gradient", "first"}
        | {"schedule_scale", "augmentation", "mixup", "label_smoothing", "precision", "channels_last", "compile"}
        | {"repeated_augmentation"}
    )
    """Settings whose default is what was done before they existed: with it, older records stay valid."""

    @field_validator("augmentation")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        # the operations and not the name stand in a record: a preset that changes makes other cells
        return tuple(preset(value)) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_together(self):
        problems = []
        if (self.epochs is None) == (self.steps is None):
            problems.append("give exactly one of epochs and steps (the other null)")
        if (self.schedule == "multistep") != bool(self.milestones):
            problems.append("milestones and schedule: multistep go together")
        if list(self.milestones) != sorted(set(self.milestones)):
            problems.append(f"milestones {list(self.milestones)} do not rise")
        if self.schedule != "cosine" and self.min_lr:
            problems.append(f"min_lr belongs to schedule cosine, not to {self.schedule}")
        if self.warmup_start and not self.warmup_epochs:
            problems.append("warmup_start belongs to warmup_epochs")
        if not problems and self.first:
            problems += self._problems_of_first()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems_of_first(self) -> list[str]:
        allowed = settings_of_a_phase()
        problems = []
        for name in self.first:
            if name not in allowed:
                problems.append(f"first.{name}: no setting that a task can have of its own{nearest(name, allowed)}")
        if problems:
            return problems
        try:
            self.at(0)
        except ValidationError as error:
            return [f"first.{line}" for line in explain(error)]
        return []

    def at(self, task: int) -> Recipe:
        """The recipe of `task`: this one, for the first task with what `first` changes."""
        if not self.first or task:
            return self
        document = self.model_dump(mode="json", exclude={"first"})
        optimizer = document["optimizer"] | self.first.get("optimizer", {})
        return Recipe.model_validate_json(json.dumps(_changed(document, self.first | {"optimizer": optimizer})))

    def changed(self, **changes: Any) -> Recipe:
        """The recipe of a phase that differs from its task's in `changes`, e.g. epochs=2, schedule="constant".

        epochs take the place of steps, and the other way round; `schedule` is named whole, so that milestones and
        warm-up start from their defaults. Raises TypeError for what a phase cannot have of its own, ValueError for
        what does not fit together.
        """
        allowed = settings_of_a_phase()
        for name in changes:
            if name not in allowed:
                raise TypeError(f"{name}: no setting that a phase can have of its own{nearest(name, allowed)}")
        document = {name: getattr(self, name) for name in Recipe.model_fields if name != "first"}
        return Recipe.model_validate(_changed(document, changes))

    def scaled(self) -> Recipe:
        """As it is run: lengths times `schedule_scale` (never less than an epoch or a step), milestones and warm-up
        alike, and the learning rate that of this batch size (`lr_batch`)."""
        update: dict[str, Any] = {"lr_batch": None, "schedule_scale": 1.0}
        if self.lr_batch is not None:
            lr = self.optimizer.lr * self.batch_size / self.lr_batch
            update["optimizer"] = self.optimizer.model_copy(update={"lr": lr})
        if self.schedule_scale != 1:
            scale = self.schedule_scale
            update |= {
                "epochs": None if self.epochs is None else max(1, rounded(self.epochs * scale)),
                "steps": None if self.steps is None else max(1, rounded(self.steps * scale)),
                "milestones": tuple(max(1, rounded(m * scale)) for m in self.milestones),
                "warmup_epochs": rounded(self.warmup_epochs * scale),
            }
        return self.model_copy(update=update)


SCHEDULE_PARTS = ("milestones", "gamma", "warmup_epochs", "warmup_start", "min_lr")
"""What belongs to a schedule: who names another schedule starts from their defaults."""


def settings_of_a_phase() -> list[str]:
    """Names of what a task or a phase can have of its own: the settings above `first`."""
    return list(Recipe.model_fields)[: list(Recipe.model_fields).index("first")]


def _changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for one, other in (("epochs", "steps"), ("steps", "epochs")):
        if changes.get(one) is not None:
            document[other] = None
    if changes.get("schedule") is not None:
        document |= {name: Recipe.model_fields[name].default for name in SCHEDULE_PARTS}
    return document | changes


@dataclass
class Phase:
    """One training stage inside a task: what `fit` needs to know.

    recipe: as it is run (`Recipe.scaled`); loss: in place of the method's own; augment: whether its images are augmented
    as the recipe says. optimizer_state "kept" continues the optimizer of the phase of the same name in the task before,
    which needs the same parameters.
    """

    data: Examples
    recipe: Recipe
    parameters: list[nn.Parameter]
    loss: Callable[[Batch], Tensor] | None = None
    name: str = "train"
    augment: bool = True
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def lr_factor(self) -> Callable[[int], float]:
        """What the learning rate is multiplied with at each step from 0."""
        r, per_epoch = self.recipe, self.steps_per_epoch
        return lr_factor(
            r.schedule,
            self.total_steps,
            [m * per_epoch for m in r.milestones],
            r.gamma,
            r.warmup_epochs * per_epoch,
            r.warmup_start / r.optimizer.lr,
            r.min_lr / r.optimizer.lr,
        )

    @property
    def constant_lr(self) -> bool:
        return self.recipe.schedule == "constant" and self.recipe.warmup_epochs == 0

    @property
    def steps_per_epoch(self) -> int:
        """Batches in a pass over the data. Raises ValueError where there is none."""
        n, b, drop_last = self.sampling.length(len(self.data)), self.recipe.batch_size, self.recipe.drop_last
        batches = n // b if drop_last else -(-n // b)
        if batches == 0:
            raise ValueError(f"phase {self.name!r}: {n} examples make no batch of {b} (drop_last={drop_last})")
        return batches

    @property
    def total_steps(self) -> int:
        r = self.recipe
        return r.steps if r.steps is not None else (r.epochs or 0) * self.steps_per_epoch


def rounded(x: float) -> int:
    """To the nearest integer, halves up: 2.5 epochs are 3 wherever they come from."""
    return math.floor(x + 0.5)
