"""How a phase is trained: optimizer, length, batches, learning-rate schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from methods.batch import Batch
from scenarios import Examples

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
        common: dict[str, Any] = {"lr": self.lr, "weight_decay": self.weight_decay, "fused": True}
        if self.name == "sgd":
            optimizer = torch.optim.SGD(parameters, momentum=self.momentum, **common)
            if self.momentum:
                # torch's fused SGD fails when a parameter gets its first gradient later than the others, as the
                # heads of a multi-head network do; a momentum of zeros from the start is the same arithmetic
                for p in parameters:
                    optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
            return optimizer
        return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adagrad": torch.optim.Adagrad}[self.name](
            parameters, **common
        )


class Recipe(BaseModel):
    """How each task is trained unless a method's phase says otherwise."""

    model_config = STRICT
    epochs: int | None = Field(5, ge=1, description="passes over a task's data; null where `steps` is given")
    steps: int | None = Field(None, ge=1, description="minibatches a task, instead of epochs")
    batch_size: int = Field(64, ge=1)
    drop_last: bool = Field(False, description="leave out a last, smaller batch of an epoch")
    optimizer: OptimizerSettings = OptimizerSettings(lr=0.01, momentum=0.9)
    optimizer_state: Literal["fresh", "kept"] = Field(
        "fresh", description='"kept": the optimizer and its state live on into the next task'
    )
    schedule: Literal["constant", "cosine"] = Field("constant", description="learning rate over a phase")

    added_later: ClassVar[frozenset[str]] = frozenset()
    """Settings whose default is what was done before they existed: with it, older records stay valid."""

    @model_validator(mode="after")
    def _one_length(self):
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps (the other null)")
        return self


@dataclass
class Phase:
    """One training stage inside a task: what `fit` needs to know.

    loss: in place of the method's own; optimizer_state "kept" continues the optimizer of the phase of the same
    name in the task before, which needs the same parameters.
    """

    data: Examples
    parameters: list[nn.Parameter]
    epochs: int | None
    steps: int | None
    batch_size: int
    drop_last: bool
    optimizer: OptimizerSettings
    optimizer_state: Literal["fresh", "kept"] = "fresh"
    schedule: Literal["constant", "cosine"] = "constant"
    name: str = "train"
    loss: Callable[[Batch], Tensor] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Batches in a pass over the data. Raises ValueError where there is none."""
        n, b = len(self.data), self.batch_size
        batches = n // b if self.drop_last else -(-n // b)
        if batches == 0:
            raise ValueError(f"phase {self.name!r}: {n} examples make no batch of {b} (drop_last={self.drop_last})")
        return batches

    @property
    def total_steps(self) -> int:
        return self.steps if self.steps is not None else (self.epochs or 0) * self.steps_per_epoch
