"""Dark experience replay++ (Buzzega et al. 2020)."""

from typing import Annotated

from pydantic import Field

from methods.core.method import Batch, hyper
from methods.der_replay import DERReplay


class DERpp(DERReplay):
    """Dark experience replay + beta * cross-entropy on a second draw of stored examples (eq. 6).

    The paper's network has all columns from the start: `active_outputs: all` in a class-incremental scenario.
    """

    about = "replays stored examples, held both to the logits it had for them and to their labels"

    beta: Annotated[float, Field(ge=0)] = hyper(
        1.0, "weight of the cross-entropy on stored labels", "Buzzega et al. 2020, Permuted MNIST with 200 stored"
    )

    def loss(self, batch: Batch):
        loss = super().loss(batch)
        if len(self.buffer) == 0:
            return loss
        labelled = self.batch(self.buffer.sample(self._replayed(batch)))
        return loss + self.beta * self.cross_entropy(self.logits(labelled), labelled)
