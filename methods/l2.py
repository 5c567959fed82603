"""L2: the penalty of elastic weight consolidation with every parameter equally important."""

from typing import Annotated

import torch
from pydantic import Field

from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.quadratic import QuadraticPenalty


class L2(Method):
    """Loss + strength * sum (theta - theta*)^2, theta* the solution of the latest task.

    The baseline "L2" of Kirkpatrick et al. 2017 (fig. 2), one running penalty as in Hsu et al. 2018. Every parameter
    that exists is held, so also output rows that no task has trained yet, at their initial values.
    """

    about = "quadratic penalty on leaving the latest solution, the same for every parameter"
    source = (
        "Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks (baseline); Hsu et al. 2018"
    )
    family = "regularisation"

    strength: Annotated[float, Field(ge=0)] = hyper(
        0.01, "penalty strength (lambda)", "Hsu et al. 2018, Split MNIST task (domain 0.5, class 100), no 1/2"
    )

    def build(self, scenario, model):
        self.penalty = QuadraticPenalty()
        return super().build(scenario, model)

    def adjust_gradients(self, batch: Batch) -> None:
        if self.penalty:
            self.penalty.add_gradient(self.parameters, self.strength)

    def end_task(self, task: TaskView) -> None:
        parameters = self.parameters
        self.penalty.replace([torch.ones_like(p) for p in parameters], parameters)
