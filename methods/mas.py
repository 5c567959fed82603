"""Memory aware synapses (Aljundi et al. 2018)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.core.evaluation import evaluation_mode
from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.per_example import summed_gradients
from methods.parts.quadratic import QuadraticPenalty, grown


class MAS(Method):
    """Loss + strength * sum Omega (theta - theta*)^2 (eq. 4), theta* the solution of the latest task.

    Omega, summed over tasks, is how much the outputs react to a parameter: the mean over examples of
    |d ||f(x)||^2 / d theta| (eq. 2 and 3), f over the classes active in training. No labels are needed.
    """

    about = "quadratic penalty weighted by how much the outputs react to each parameter"
    source = "Aljundi et al. 2018, Memory aware synapses: learning what (not) to forget"
    family = "regularisation"

    strength: Annotated[float, Field(ge=0)] = hyper(
        0.1, "penalty strength (lambda)", "no 1/2; 1 in Aljundi et al. 2018, where SGD with momentum may diverge"
    )
    importance_per: Literal["example", "batch"] = hyper(
        "example",
        "importance: absolute gradient of ||f||^2 of each example, or of the mean of f^2 over a minibatch and its outputs",
        "example: Aljundi et al. 2018 eq. 2; batch: the code of Hsu et al. 2018",
    )

    def build(self, scenario, model):
        self.penalty = QuadraticPenalty()
        return super().build(scenario, model)

    def adjust_gradients(self, batch: Batch) -> None:
        if self.penalty:
            self.penalty.add_gradient(self.parameters, self.strength)

    def end_task(self, task: TaskView) -> None:
        with evaluation_mode(self.network):
            omega = self._by_example(task) if self.importance_per == "example" else self._by_batch(task)
        if self.penalty:
            omega = [grown(old, new) + new for old, new in zip(self.penalty.importance, omega, strict=True)]
        self.penalty.replace(omega, self.parameters)

    def _by_example(self, task: TaskView) -> list[Tensor]:
        total = [torch.zeros_like(p) for p in self.parameters]
        for batch in self.batches(task.train, mixed_precision=False):
            sums = summed_gradients(self.network, self._outputs, batch.x, lambda scores: [()], _squared_norm, power=1)
            torch._foreach_add_(total, sums)
        return [t / len(task.train) for t in total]

    def _by_batch(self, task: TaskView) -> list[Tensor]:
        parameters = self.parameters
        total = [torch.zeros_like(p) for p in parameters]
        order = torch.randperm(len(task.train), generator=self.generator("importance", task.id))
        batches = 0
        for batch in self.batches(task.train[order], self.recipe.batch_size, mixed_precision=False):
            batches += 1
            mean_square = self._outputs(batch.x).square().mean()
            for t, g in zip(total, torch.autograd.grad(mean_square, parameters, allow_unused=True), strict=True):
                if g is not None:  # another task's output layer
                    t += g.abs()
        return [t / batches for t in total]

    def _outputs(self, x: Tensor) -> Tensor:
        """The scores [N, K] of the classes active in the task's training."""
        active = self.layout.active_in_training(self.task.id, self.seen)
        return active.select(self.network(x, self.task.id))


def _squared_norm(scores: Tensor) -> Tensor:
    return scores.square().sum(1)
