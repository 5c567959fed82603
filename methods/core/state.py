"""What every method has from `start` on, and parts of the contract rely on."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from methods.core.augmentation import Augmenter
from methods.core.batch import TaskView
from methods.core.precision import Precision, autocast
from methods.core.recipe import Recipe
from scenarios import Normalise, OutputLayout
from scenarios.seeding import generator_for


class State:
    """Attributes of a started method."""

    network: Any
    """The nn.Module that is trained, of the kind that `build` makes."""
    layout: OutputLayout
    recipe: Recipe
    """The current task's, so without `first`: that of the first task until the second is entered."""
    whole_recipe: Recipe
    """As the suite gives it, for all tasks: `at(task)` is a task's."""
    mixed_precision: Precision
    """In which forward passes run: the recipe's precision, resolved."""
    scaler: torch.amp.GradScaler | None
    """fp16 alone needs one; `observe` unscales before `adjust_gradients`."""
    memory_format: str
    """Of images and convolutions: "channels last", or "contiguous" and why, where the recipe asked for the other."""
    augmenter: Augmenter
    seed: int
    device: torch.device
    normalise: Normalise
    """The scenario's."""
    task: TaskView
    seen: int
    """Tasks begun so far."""

    _listed: tuple[nn.Module, list[nn.Parameter]] | None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All of the network's. Listed once a task, in which a network does not grow: to walk over its modules at every
        step would cost."""
        listed = vars(self).get("_listed")
        if listed is None or listed[0] is not self.network:
            listed = self._listed = self.network, list(self.network.parameters())
        return listed[1]

    def precision(self):
        """The autocast context of forward passes. Wrap in it whatever runs the network outside `observe` and `batches`."""
        return autocast(self.mixed_precision, self.device)

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A generator of this cell's seed for one purpose, e.g. "buffer"."""
        return generator_for(self.seed, *purpose)
