"""Dark experience replay (Buzzega et al. 2020)."""

from typing import Annotated

from pydantic import Field

from methods.core.method import Batch, Method, hyper
from methods.parts.logit_reservoir import LogitReservoir, Offer


class DERReplay(Method):
    """Cross-entropy on the new batch + alpha * |z - h(x)|^2 on stored ones, z being their logits when stored (eq. 5).

    The square is a mean over examples and logits, as in mammoth. The paper's network has all columns from the start,
    and so has the scenario with `active_outputs: all`: old logits then also hold down the columns of later classes. In
    a head that grows nothing does (logit_distance), and der_replay, which has no old labels, forgets old classes.
    """

    about = "replays stored examples and holds the network to the logits it had for them"
    source = "Buzzega et al. 2020, Dark experience for general continual learning"
    family = "replay"
    reads_targets = False

    buffer_size: Annotated[int, Field(ge=1)] = hyper(1000, "examples stored in all")
    replay_ratio: Annotated[float, Field(gt=0)] = hyper(
        1.0, "replayed examples for each new one, in each draw", "mammoth: minibatch_size = batch_size on MNIST"
    )
    alpha: Annotated[float, Field(ge=0)] = hyper(
        1.0, "weight of the distance to stored logits", "Buzzega et al. 2020, Permuted MNIST with 200 and 500 stored"
    )

    offer: Offer = hyper(
        "once",
        "time at which examples enter the reservoir, with their logits of that step: their first epoch, or anew each",
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
        return new + self.alpha * self.buffer.distance(self, self._replayed(batch))

    def after_step(self, batch: Batch) -> None:
        if batch.epoch == 0 or self.offer == "every_epoch":
            self.buffer.offer(batch.examples, self._logits)

    def step_shape(self, batch: Batch):
        return len(batch), min(len(self.buffer), self._replayed(batch))

    def _replayed(self, batch: Batch) -> int:
        return max(1, round(self.replay_ratio * len(batch)))

    def footprint(self) -> dict[str, int]:
        return super().footprint() | {"logits": self.buffer.logits_nbytes}
