"""Naive rehearsal (Hsu et al. 2018)."""

from typing import Annotated

from pydantic import Field

from methods.core.method import Method, TaskView, hyper
from methods.parts.episodic import EpisodicMemory


class Rehearsal(Method):
    """Trains on the task's data and the stored examples as one shuffled set.

    The memory holds buffer_size // k random examples of each of k tasks seen. All of it is repeated
    max(1, n // buffer_size) times beside the task's n examples, so that old to new is about 1 : 1.
    """

    about = "trains on the new data together with a balanced memory, repeated to the same size"
    source = "Hsu et al. 2018, Re-evaluating continual learning scenarios"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        1100, "examples stored in all, an equal share of each task seen", "Hsu et al. 2018: 1,100 or 4,400, Split MNIST"
    )

    def build(self, scenario, model):
        self.buffer = EpisodicMemory(
            self.buffer_size, self.layout.n_tasks, "random", self.generator("buffer"), share="seen"
        )
        return super().build(scenario, model)

    def phases(self, task: TaskView):
        yield self.phase(self.buffer.mixed_with(task.train))

    def end_task(self, task: TaskView) -> None:
        self.buffer.store(task.train)
