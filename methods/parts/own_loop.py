"""A method with a training loop of its own, such as a script that was written elsewhere."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import torch

from methods.core.batch import TaskView
from methods.core.method import Method
from methods.core.recipe import Phase
from scenarios.seeding import preserved_rng_state, seed_for


class OwnLoop(Method):
    """Trains as it likes in `train`; building, growing, prediction and what is kept are those of any method.

    The FLOPs of all that `train` does are counted. Its draws from the global generators of random, numpy and torch depend
    on the cell's seed and the task alone. The loop has no use for the recipe unless it reads `self.recipe`, and what it
    keeps between tasks is an attribute, as of any method.
    """

    def train(self, task: TaskView) -> None:
        """Trains `self.network` on `task.train`: images as they are stored, which `self.normalise` makes ready, and labels,
        columns of the output layer. Both are on `self.device`."""
        raise NotImplementedError(f"{type(self).__name__} has no train(self, task), in which it trains")

    def phases(self, task: TaskView) -> Iterable[Phase]:
        """None: what is done when the first one is asked for is counted, and all is done by then."""
        seed = seed_for(self.seed, "own loop", task.id)
        self.network.train()
        with preserved_rng_state():
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002 - what scripts draw from
            torch.manual_seed(seed)
            self.train(task)
        return
        yield
