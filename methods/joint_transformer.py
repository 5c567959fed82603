"""Joint training of the transformer of DyTox and DNE: what their difference to joint, D, is measured against."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from methods.core import losses
from methods.core.method import Batch, hyper
from methods.joint import Joint
from methods.parts.task_transformer import TaskTransformer
from models import ModelSettings
from models.dytox import DyTox as Network
from scenarios import Scenario


class JointTransformer(Joint):
    """The upper bound of the transformers that grow: DyTox's network with one token and one head for all classes.

    Loss: the classification term of DyTox alone (Douillard et al. 2022, eq. 10 with one task).
    """

    about = "the transformer of dytox and dne trained on all data of all tasks so far (upper bound)"
    source = "Douillard et al. 2022, table 1, joint"
    own_network = TaskTransformer.own_network
    network_settings = TaskTransformer.network_settings
    predicts_unseen = False

    dim: Annotated[int, Field(ge=1)] = hyper(384, "width", "Douillard et al. 2022, CIFAR")
    heads: Annotated[int, Field(ge=1)] = hyper(12, "attention heads", "Douillard et al. 2022")
    depth: Annotated[int, Field(ge=1)] = hyper(5, "encoder blocks; a task-attention block follows", "Douillard 2022")
    patch: Annotated[int, Field(ge=1)] = hyper(4, "pixels along a patch's side", "Douillard et al. 2022, CIFAR")
    encoder: Literal["gpsa", "plain", "conv-stem", "conv-trunk"] = hyper("gpsa", "as in dytox", "Douillard et al. 2022")
    drop_path: Annotated[float, Field(ge=0, lt=1)] = hyper(0.1, "of the last block", "Douillard et al. 2022")
    criterion: Literal["bce", "ce"] = hyper("bce", "as in dytox", "Douillard et al. 2022")

    def _network(self, scenario: Scenario, model: ModelSettings) -> nn.Module:
        if model.head != "auto":
            raise ValueError(f"{type(self).__name__} has a head of its own: model.head auto, not {model.head}")
        shape = scenario.image_shape
        return Network(shape, self.patch, self.dim, self.heads, self.depth, 4, self.encoder, self.drop_path)

    def loss(self, batch: Batch) -> Tensor:
        logits = self.logits(batch)
        if self.criterion == "ce":
            return self.cross_entropy(logits, batch)
        return losses.binary_cross_entropy(logits, self._targets(batch), batch.active)
