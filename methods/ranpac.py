"""RanPAC: random projections and ridge regression (McDonnell et al. 2023)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from methods.core.method import TaskView, hyper
from methods.parts.feature_head import FeatureHead, rows
from methods.parts.features import features_of
from methods.parts.first_session import FirstSession, Tuning

RIDGES = tuple(10.0**k for k in range(-8, 9))


class RanPAC(FirstSession):
    """Features f become h = ReLU(f P) with P ~ N(0, 1), fixed; the head is (G + lambda I)^-1 Q.

    G = sum of h^T h and Q = sum of h^T y are added up over tasks, so the head is ridge regression on all images so far.
    lambda is chosen in each task among 10^-8 ... 10^8 by the squared error on a fifth of the task's images, of a ridge
    regression on the rest of them. Before that the first task may tune the backbone (the paper's phase 1).

    Published training of phase 1: SGD 0.01, momentum 0.9, weight decay 5e-4, cosine, 20 epochs in batches of 48.
    """

    about = "ridge regression on random projections of frozen features"
    source = "McDonnell et al. 2023, RanPAC: Random projections and pre-trained models for continual learning"

    random_features: Annotated[int, Field(ge=0)] = hyper(
        10000, "columns of the projection; 0: none, ridge regression on features", "McDonnell et al. 2023"
    )
    ridge: Annotated[float, Field(gt=0)] | None = hyper(
        None,
        "ridge (lambda); null: chosen on held-out images of each task",
        "chosen: McDonnell et al. 2023, algorithm 1",
    )
    first_session: Tuning | None = hyper(
        None,
        "parts that the first task tunes; null: none, the backbone is as it came",
        "adapter, ssf, vpt: McDonnell et al. 2023",
    )

    added_later = frozenset({"first_session", "bottleneck", "prompts"})

    @property
    def reads_pixels(self) -> bool:  # type: ignore[override]
        return self.first_session is not None

    def _tuning(self):
        return self.first_session

    def _head(self, features, columns):
        projection = None
        if self.random_features:
            projection = torch.randn(features, self.random_features, generator=self.generator("projection"))
        return RidgeHead(features, columns, projection, self.ridge)

    def end_task(self, task: TaskView) -> None:
        self._end_first_session()
        head, order = self.network.head, torch.randperm(len(task.train), generator=self.generator("ridge", task.id))
        features, labels = features_of(self, task.train), task.train.labels
        order = order.to(labels.device)
        head.add(features, labels)
        if self.ridge is None:
            head.choose(features[order], labels[order])
        self._solved = head.settle()

    def diagnostics(self):
        return {"lambda": self.network.head.ridge}


class RidgeHead(FeatureHead):
    """gram [M, M], products [classes, M]; weight [classes, M], so that logits are h weight^T."""

    gram: Tensor
    products: Tensor
    weight: Tensor
    state_by_class = ("counts", "products", "weight")

    def __init__(self, features: int, n_outputs: int, projection: Tensor | None, ridge: float | None):
        super().__init__(features, n_outputs)
        del self.sums
        m = features if projection is None else projection.shape[1]
        self.ridge, self._decomposed = ridge or 1.0, 0
        self.keep(gram=torch.zeros(m, m), products=torch.zeros(n_outputs, m), weight=torch.zeros(n_outputs, m))
        self.projection: Tensor | None
        self.register_buffer("projection", projection)

    def expanded(self, features: Tensor) -> Tensor:
        """Features [N, d] -> h [N, M], in their number format."""
        if self.projection is None:
            return features
        return (features @ self.projection.to(features.dtype)).relu()

    def add_sums(self, x: Tensor, y: Tensor) -> None:
        h, one_hot = self.expanded(x), self.one_hot(y, x)
        self.counts += one_hot.sum(0)
        self.gram += h.T @ h
        self.products += one_hot.T @ h

    def errors(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean squared errors [17] on the last fifth of the rows, for each lambda, of ridge regressions on the others.

        One eigendecomposition of their gram matrix serves all.
        """
        fitted = int(0.8 * len(labels))
        gram, products = torch.zeros_like(self.gram), torch.zeros_like(self.products)
        for x, y in rows(features[:fitted], labels[:fitted]):
            h = self.expanded(x)
            gram += h.T @ h
            products += self.one_hot(y, x).T @ h
        values, vectors = torch.linalg.eigh(gram)
        self._decomposed += 1
        held_out, rotated = self.expanded(features[fitted:].double()) @ vectors, products @ vectors
        wanted = self.one_hot(labels[fitted:], held_out)
        answers = ((held_out / (values.clamp(min=0) + ridge)) @ rotated.T for ridge in RIDGES)
        return torch.stack([(answer - wanted).square().mean() for answer in answers])

    def choose(self, features: Tensor, labels: Tensor) -> None:
        """Sets lambda to the one of the least error; with fewer than two images it stays."""
        if len(labels) > 1:
            self.ridge = RIDGES[int(self.errors(features, labels).argmin())]

    def settle(self) -> int:
        ridged = self.gram.clone()
        ridged.diagonal().add_(self.ridge)
        self.weight = torch.linalg.solve(ridged, self.products.T).T.contiguous()
        m, decomposed = len(ridged), self._decomposed
        self._decomposed = 0
        return 9 * m**3 * decomposed + 2 * m**3 // 3 + 2 * m**2 * self.n_outputs

    def forward(self, features: Tensor, task: object = None) -> Tensor:
        return self.seen_only(self.expanded(features.double()) @ self.weight.T)
