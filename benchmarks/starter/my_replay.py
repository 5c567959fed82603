"""Replay in which stored examples weigh more or less than new ones: a method to edit, or to replace by yours."""

from methods import Batch, Method, hyper
from methods.parts.reservoir import Reservoir


class WeightedReplay(Method):
    """Each step adds to the loss of the new batch `old_weight` times that of as many stored examples."""

    about = "replays stored examples, which weigh more or less than new ones"
    family = "replay"

    buffer_size: int = hyper(500, "examples stored in all")
    old_weight: float = hyper(1.0, "weight of the stored examples' loss beside that of new ones")

    def build(self, scenario, model):
        self.buffer = Reservoir(self.buffer_size, self.generator("buffer"))
        return super().build(scenario, model)

    def loss(self, batch: Batch):
        new = super().loss(batch)
        if len(self.buffer) == 0:
            return new
        stored = self.batch(self.buffer.sample(len(batch)))
        return new + self.old_weight * super().loss(stored)

    def after_step(self, batch: Batch) -> None:
        if batch.epoch == 0:
            self.buffer.add(batch.examples)

    def step_shape(self, batch: Batch):
        return len(batch), min(len(self.buffer), len(batch))
