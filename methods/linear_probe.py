"""Linear probe: the head alone is trained, task by task."""

from typing import Literal

from methods.core.method import Method, hyper
from models import Frozen


class LinearProbe(Method):
    """Sequential training of a linear layer on a backbone that is not trained, as `finetune` does with all of it.

    What is lost is lost in the head: joint training of the same head bounds it.
    """

    about = "sequential training of a linear head on frozen features"
    source = "Alain & Bengio 2016, Understanding intermediate layers using linear classifier probes"
    family = "baseline"

    compete: Literal["setting", "new"] = hyper(
        "setting",
        'classes in the cross-entropy: those that the "setting" lets compete, or the "new" task\'s alone',
        "new: the labels trick, Zeno et al. 2018",
    )

    def build(self, scenario, model):
        network = self.backbone_and_head(scenario, model)
        network.backbone = Frozen(network.backbone)
        return network
