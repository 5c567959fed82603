"""Dark experience replay++ (Buzzega et al. 2020)."""

from typing import Annotated

from pydantic import Field

from methods.core.method import Batch, Method, hyper
from methods.parts.logit_reservoir import LogitReservoir, Offer


class DERpp(Method):
    """Dark experience replay + beta * cross-entropy on a second draw of stored examples (eq. 6).

    The paper's network has all columns from the start: `active_outputs: all` in a class-incremental scenario.
    """

    about = "replays stored examples, held both to the logits it had for them and to their labels"
    source = "Buzzega et al. 2020, Dark experience for general continual learning"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(1000, "examples stored in all")
    replay_ratio: Annotated[float, Field(gt=0)] = hyper(
        1.0, "replayed examples for each new one, in each of two draws", "mammoth: minibatch_size = batch_size on MNIST"
    )
    alpha: Annotated[float, Field(ge=0)] = hyper(
        1.0, "weight of the distance to stored logits", "Buzzega et al. 2020, Permuted MNIST with 200 and 500 stored"
    )
    beta: Annotated[float, Field(ge=0)] = hyper(
        1.0, "weight of the cross-entropy on stored labels", "Buzzega et al. 2020, Permuted MNIST with 200 stored"
    )

    offer: Offer = hyper(
        "once",
        "when examples enter the reservoir, with their logits of that step: in their first epoch, or anew in each",
        "once: a stream seen once; every_epoch: mammoth, also where it trains 50 epochs",
    )

    def build(self, scenario, model):
        self.buffer = LogitReservoir(self.buffer_size, self.generator("buffer"), self.layout)
        return super().build(scenario, model)

    def loss(self, batch: Batch):
        logits = self.network(batch.x)
        self._logits = logits.detach()
        new = self.cross_entropy(logits, batch)
        if len(self.buffer) == 0:
            return new
        distance = self.buffer.distance(self, self._replayed(batch))
        labelled = self.batch(self.buffer.sample(self._replayed(batch)))
        return new + self.alpha * distance + self.beta * self.cross_entropy(self.logits(labelled), labelled)

    def after_step(self, batch: Batch) -> None:
        if batch.epoch == 0 or self.offer == "every_epoch":
            self.buffer.offer(batch.examples, self._logits)

    def step_shape(self, batch: Batch):
        return len(batch), min(len(self.buffer), self._replayed(batch))

    def _replayed(self, batch: Batch) -> int:
        return max(1, round(self.replay_ratio * len(batch)))

    def footprint(self) -> dict[str, int]:
        return self.buffer.footprint()
