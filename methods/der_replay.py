"""Dark experience replay (Buzzega et al. 2020)."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from methods.base import Batch, Method, hyper
from methods.buffer import Reservoir
from scenarios import OutputLayout


class DERReplay(Method):
    """Cross-entropy on the new batch + alpha * |z - h(x)|^2 on stored ones, z being their logits when stored (eq. 5).

    The square is a mean over examples and logits, as in mammoth. The paper's network has all columns from the start,
    and so has the scenario with `active_outputs: all`: old logits then also hold down the columns of later classes. In
    a head that grows nothing does (logit_distance), and der_replay, which has no old labels, forgets old classes.
    """

    about = "replays stored examples and holds the network to the logits it had for them"
    source = "Buzzega et al. 2020, Dark experience for general continual learning"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(1000, "examples stored in all")
    replay_ratio: Annotated[float, Field(gt=0)] = hyper(
        1.0, "replayed examples for each new one", "mammoth: minibatch_size = batch_size on MNIST"
    )
    alpha: Annotated[float, Field(ge=0)] = hyper(
        1.0, "weight of the distance to stored logits", "Buzzega et al. 2020, Permuted MNIST with 200 and 500 stored"
    )

    offer: Literal["once", "every_epoch"] = hyper(
        "once",
        "when examples enter the reservoir, with their logits of that step: in their first epoch, or anew in each",
        "once: a stream seen once; every_epoch: mammoth, also where it trains 50 epochs",
    )

    def build(self, scenario, model):
        self.buffer = Reservoir(self.buffer_size, self.generator("buffer"))
        return super().build(scenario, model)

    def loss(self, batch: Batch):
        logits = self.network(batch.x)
        self._logits = logits.detach()
        new = self.cross_entropy(logits, batch)
        if len(self.buffer) == 0:
            return new
        rows = self.buffer.pick(self._replayed(batch))
        stored = self.batch(self.buffer.examples[rows])
        widths = logit_widths(self.layout, stored.examples.task_ids)
        return new + self.alpha * logit_distance(self.network(stored.x), self.buffer.beside["logits"][rows], widths)

    def after_step(self, batch: Batch) -> None:
        if batch.epoch == 0 or self.offer == "every_epoch":
            self.buffer.add(batch.examples, logits=to_width(self._logits, self.layout.n_outputs))

    def step_shape(self, batch: Batch):
        return len(batch), min(len(self.buffer), self._replayed(batch))

    def _replayed(self, batch: Batch) -> int:
        return max(1, round(self.replay_ratio * len(batch)))

    def footprint(self) -> dict[str, int]:
        return {"buffer": self.buffer.nbytes, "logits": 4 * len(self.buffer) * self.layout.n_outputs}


def to_width(logits: Tensor, n: int) -> Tensor:
    """Float32 logits [N, n]: columns that do not exist yet are 0."""
    return F.pad(logits.float(), (0, n - logits.shape[1]))


def logit_widths(layout: OutputLayout, tasks: Tensor) -> Tensor:
    """Columns that existed when each example of `tasks` (int64 [N]) was learned; int64 [N]."""
    return torch.tensor([layout.width(t) for t in range(layout.n_tasks)], device=tasks.device)[tasks]


def logit_distance(logits: Tensor, stored: Tensor, widths: Tensor) -> Tensor:
    """Mean squared difference of logits [N, C] and `stored` [N, >= C] over the first widths[i] columns of each row.

    A head that grows has no old logits to compare its new columns with; papers have all columns from the start.
    """
    exists = torch.arange(logits.shape[1], device=logits.device) < widths[:, None]
    squares = (logits - stored[:, : logits.shape[1]]).square() * exists
    return squares.sum() / exists.sum()
