"""Experience replay (Chaudhry et al. 2019, On tiny episodic memories; Riemer et al. 2019)."""

from typing import Annotated, Literal

from pydantic import Field

from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.episodic import EpisodicMemory
from methods.parts.reservoir import Reservoir


class ER(Method):
    """Each step learns from the current batch and from one drawn from what is stored."""

    about = "replays stored examples beside every new batch"
    source = "Chaudhry et al. 2019, On tiny episodic memories in continual learning"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(1000, "examples stored in all")
    memory: Literal["reservoir", "tasks"] = hyper(
        "reservoir",
        'kind of memory: "reservoir" of everything seen, the current task included; "tasks": an equal share a task, drawn when it ends',
        "reservoir: Chaudhry et al. 2019, mammoth; tasks: van de Ven et al. 2022",
    )
    replay_ratio: Annotated[float, Field(gt=0)] = hyper(
        1.0, "replayed examples for each new one", "Chaudhry et al. 2019: as many as new ones"
    )
    weighting: Literal["mean", "share"] = hyper(
        "mean",
        'weights of the losses at task k: "mean": one mean over new and replayed; "share": (1/k) new + (1 - 1/k) replayed',
        "mean: Chaudhry 2019, mammoth; share: van de Ven et al. 2022",
    )

    def build(self, scenario, model):
        self.buffer: Reservoir | EpisodicMemory
        generator = self.generator("buffer")
        if self.memory == "reservoir":
            self.buffer = Reservoir(self.buffer_size, generator)
        else:
            self.buffer = EpisodicMemory(self.buffer_size, self.layout.n_tasks, "random", generator)
        return super().build(scenario, model)

    def loss(self, batch: Batch):
        if len(self.buffer) == 0:
            return super().loss(batch)
        old = self.buffer.sample(self._replayed(batch))
        replayed = self.batch(old)
        if self.weighting == "mean":
            return super().loss(self.join(batch, replayed))
        k = self.task.id + 1
        return super().loss(batch) / k + super().loss(replayed) * (1 - 1 / k)

    def after_step(self, batch: Batch) -> None:
        if (
            isinstance(self.buffer, Reservoir) and batch.epoch == 0
        ):  # an example is offered once, however often it is trained on
            self.buffer.add(batch.examples)

    def end_task(self, task: TaskView) -> None:
        if isinstance(self.buffer, EpisodicMemory):
            self.buffer.store(task.train)

    def step_shape(self, batch: Batch):
        return len(batch), min(len(self.buffer), self._replayed(batch))

    def _replayed(self, batch: Batch) -> int:
        return max(1, round(self.replay_ratio * len(batch)))
