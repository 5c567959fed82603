"""Elastic weight consolidation (Kirkpatrick et al. 2017) and its online form (Schwarz et al. 2018)."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from methods.core.evaluation import evaluation_mode
from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.fisher import Labels, fisher_diagonal, squared_mean_gradient
from methods.parts.quadratic import QuadraticPenalty, grown


class EWC(Method):
    """Loss + strength (times 1/2 where `half`) * sum F (theta - theta*)^2.

    offline: a penalty for each past task around its own solution (Kirkpatrick et al. 2017, eq. 3; Huszár 2018 on
    the sum). online: one Fisher, decayed by `gamma` and added to, around the latest solution (Schwarz et al.
    2018, eq. 9).
    """

    about = "quadratic penalty weighted by the Fisher information of past tasks"
    source = "Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks"
    family = "regularisation"

    strength: Annotated[float, Field(ge=0)] = hyper(
        100.0, "penalty strength (lambda)", "Hsu et al. 2018, Split MNIST task and domain (there without the 1/2)"
    )
    half: bool = hyper(True, "a factor of 1/2 on the penalty", "Kirkpatrick et al. 2017 eq. 3; Hsu and mammoth do not")
    variant: Literal["offline", "online"] = hyper(
        "offline", 'number of penalties: one per task ("offline"), or one running one ("online")', "Kirkpatrick 2017"
    )
    gamma: Annotated[float, Field(ge=0, le=1)] = hyper(1.0, "decay of the old Fisher (online)", "Schwarz et al. 2018")
    fisher_labels: Labels = hyper(
        "sampled",
        "labels of the Fisher: true (empirical), true_weighted (by their probability), sampled, predicted or all (exact)",
        "Martens 2014; Kunstner 2019; true_weighted: the code of Buzzega et al. 2020",
    )
    fisher_samples: Annotated[int, Field(ge=1)] | None = hyper(None, "training examples for the Fisher; none: all")
    fisher_of: Literal["examples", "mean"] = hyper(
        "examples",
        "gradient that is squared: of each of the examples, or of their mean (true labels only)",
        "examples: Kirkpatrick et al. 2017; mean: the code of Lopez-Paz & Ranzato 2017",
    )
    added_later = frozenset({"fisher_of"})

    def __post_init__(self):
        super().__post_init__()
        if self.fisher_of == "mean" and self.fisher_labels != "true":
            raise ValueError(f"fisher_of: mean goes with fisher_labels: true, not {self.fisher_labels}")

    def build(self, scenario, model):
        self.penalty = QuadraticPenalty()
        return super().build(scenario, model)

    def adjust_gradients(self, batch: Batch) -> None:
        # The penalty's gradient is known in closed form; autograd would spend a third of a step on it.
        if self.penalty:
            self.penalty.add_gradient(self.parameters, self.strength * (0.5 if self.half else 1.0))

    def end_task(self, task: TaskView) -> None:
        examples = task.train
        if self.fisher_samples is not None:
            rows = torch.randperm(len(examples), generator=self.generator("fisher subset", task.id))
            examples = examples[rows[: self.fisher_samples]]
        columns = self.layout.active_in_training(task.id, self.seen).columns
        looked_at = self.batches(examples, mixed_precision=False)  # squares of gradients underflow in fp16
        batches = ((batch.x, batch.y - columns.start) for batch in looked_at)

        def logits(x):
            return self.network(x, task.id)[:, columns]

        with evaluation_mode(self.network):
            if self.fisher_of == "mean":
                fisher = squared_mean_gradient(self.network, logits, batches)
            else:
                generator = self.generator("fisher", task.id)
                fisher = fisher_diagonal(self.network, logits, batches, self.fisher_labels, generator)
        parameters = self.parameters
        if self.variant == "offline":
            self.penalty.add(fisher, parameters)
        else:
            if self.penalty:
                old = [self.gamma * grown(f, new) for f, new in zip(self.penalty.importance, fisher, strict=True)]
                fisher = [f + new for f, new in zip(old, fisher, strict=True)]
            self.penalty.replace(fisher, parameters)
