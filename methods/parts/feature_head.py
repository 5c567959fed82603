"""Output layers that are computed from features and not trained, on a backbone that is never trained."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.core.method import Method, TaskView
from methods.parts.features import features_of
from models import Frozen, ModelSettings, Network, build_backbone
from scenarios import OutputLayout, Scenario

ROWS_AT_ONCE = 4096
"""Features that are looked at together, in double precision."""
LOWEST = torch.finfo(torch.float32).min
"""Score of a class without images: it competes with none."""


class FeatureHead(nn.Module):
    """Sums of features by class, float64: counts [classes], sums [classes, d]. A subclass adds its own, and `forward`.

    What `state_by_class` names has a row for each class and grows with them.
    """

    counts: Tensor
    sums: Tensor
    state_by_class: tuple[str, ...] = ("counts", "sums")

    def __init__(self, features: int, n_outputs: int = 0):
        super().__init__()
        self.features = features
        self.keep(counts=torch.zeros(n_outputs), sums=torch.zeros(n_outputs, features))

    def keep(self, **state: Tensor) -> None:
        """Registers tensors as state, in double precision."""
        for name, value in state.items():
            self.register_buffer(name, value.double())

    @property
    def n_outputs(self) -> int:
        return len(self.counts)

    def grow(self, n: int) -> None:
        """Makes room for n classes in all."""
        for name in self.state_by_class:
            old = getattr(self, name)
            setattr(self, name, torch.cat([old, old.new_zeros(n - len(old), *old.shape[1:])]))

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Counts features [N, d] of classes `labels` [N] in."""
        for x, y in rows(features, labels):
            self.add_sums(x, y)

    def add_sums(self, x: Tensor, y: Tensor) -> None:
        """The same of a few, in double precision: one product."""
        one_hot = self.one_hot(y, x)
        self.counts += one_hot.sum(0)
        self.sums += one_hot.T @ x

    def one_hot(self, y: Tensor, like: Tensor) -> Tensor:
        return F.one_hot(y, self.n_outputs).to(like.device, like.dtype)

    def settle(self) -> int:
        """Computes what scores need from the state, once a task; returns the FLOPs of solvers, which nothing else counts."""
        return 0

    @property
    def means(self) -> Tensor:
        """[classes, d]; zeros of a class without images."""
        return self.sums / self.counts.clamp(min=1).unsqueeze(1)

    def seen_only(self, scores: Tensor) -> Tensor:
        """Scores [N, classes] with LOWEST for classes without images."""
        return scores.masked_fill(self.counts == 0, LOWEST)

    @property
    def nbytes(self) -> int:
        return sum(b.nbytes for b in self.buffers())


def rows(features: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Features as float64 and labels, ROWS_AT_ONCE at a time, in their order."""
    for x, y in zip(features.split(ROWS_AT_ONCE), labels.split(ROWS_AT_ONCE), strict=True):
        yield x.double(), y


class OnFrozenFeatures(Method):
    """A method whose head is computed from features of each task's images, seen once. A subclass gives the head."""

    about = "the base of methods on frozen features"
    family = "prototypes"
    _solved = 0

    def build(self, scenario: Scenario, model: ModelSettings) -> Network:
        backbone = Frozen(build_backbone(model, scenario.image_shape))  # type: ignore[arg-type]  # EXTRACTORS alone
        return Network(backbone, self._head(backbone.features, self.layout.width(-1)))

    def _head(self, features: int, columns: int) -> FeatureHead:
        raise NotImplementedError

    def phases(self, task: TaskView):
        return ()

    def end_task(self, task: TaskView) -> None:
        head = self.network.head
        head.add(features_of(self, task.train), task.train.labels)
        self._solved = head.settle()

    def extra_flops(self) -> int:
        flops, self._solved = self._solved, 0
        return flops

    def answers_unseen(self, layout: OutputLayout) -> bool:
        return layout.columns[0] == layout.columns[-1]  # else no features have the classes

    def footprint(self) -> dict[str, int]:
        return {"statistics": self.network.head.nbytes}
