"""FeCAM: Mahalanobis distances with a covariance for each class (Goswami et al. 2023)."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from methods.core.method import TaskView, hyper
from methods.parts.feature_head import FeatureHead, OnFrozenFeatures
from methods.parts.features import features_of


class FeCAM(OnFrozenFeatures):
    """Distances d^T N^-1 d, where d is between features of length 1 and N a class's covariance, made regular.

    Features are first made less skewed, x^tukey, element by element. A covariance S is shrunk, S + gamma1 V1 I + gamma2 V2
    (1 - I) with V1, V2 the means of its diagonal and of the rest (eq. 6), and divided by its deviations to correlations (eq.
    7). "common": one covariance, a mean over tasks weighted by their classes, the first task's as it is, no correlations;
    "diagonal": variances alone, divided by their length. The mean is that of features as they are.
    """

    about = "Mahalanobis distances to class means of frozen features, a covariance for each class"
    source = "Goswami et al. 2023, FeCAM: Exploiting the heterogeneity of class distributions in exemplar-free continual learning"
    needs_new_classes = True

    covariance: Literal["class", "common", "diagonal"] = hyper(
        "class",
        "covariance: one for each class, one for all, or variances for each class",
        "Goswami et al. 2023, Table 4",
    )
    tukey: Annotated[float, Field(gt=0, le=1)] = hyper(
        0.5,
        "power of features, which then may not be negative; 1: as they are",
        "0.5: CNNs; 1: ViT (Goswami et al. 2023)",
    )
    gamma1: Annotated[float, Field(ge=0)] = hyper(1.0, "shrinkage of the diagonal", "Goswami et al. 2023")
    gamma2: Annotated[float, Field(ge=0)] = hyper(
        1.0, "shrinkage of the elements off the diagonal", "1: CNNs; 0: its ViT script"
    )
    times: Annotated[int, Field(ge=0)] = hyper(
        2, "number of times that a covariance is shrunk", "2: the release; 1: the paper"
    )
    correlations: bool = hyper(
        True, "division of covariances by deviations, as correlations", "Goswami et al. 2023, eq. 7"
    )

    def _head(self, features, columns):
        return MahalanobisHead(features, columns, self)

    def end_task(self, task: TaskView) -> None:
        features = features_of(self, task.train)
        if self.tukey != 1 and bool((features < 0).any()):
            raise ValueError("fecam: some features are negative, which have no power of tukey; use tukey: 1")
        self.network.head.add(features, task.train.labels)
        self._solved = self.network.head.settle()


class MahalanobisHead(FeatureHead):
    """precision float32: the inverses, [classes, d, d], [d, d] where common, [classes, d] of variances."""

    precision: Tensor

    def __init__(self, features: int, n_outputs: int, method: FeCAM):
        super().__init__(features, n_outputs)
        self.kind, self.tukey, self.times = method.covariance, method.tukey, method.times
        self.gammas, self.correlations = (method.gamma1, method.gamma2), method.correlations
        shape = {"class": (n_outputs, features, features), "diagonal": (n_outputs, features)}
        if self.kind == "common":
            self.keep(common=torch.zeros(features, features))
        else:
            self.state_by_class = ("counts", "sums", "precision")
        self.register_buffer("precision", torch.zeros(shape.get(self.kind, (features, features))))
        self._inverses = 0

    def add(self, features: Tensor, labels: Tensor) -> None:
        super().add(features, labels)
        self._inverses = 0
        if self.kind == "common":
            old, new = int((self.counts > 0).sum()) - len(labels.unique()), len(labels.unique())
            own = covariance(features.double() ** self.tukey)
            self.common = (old * self.common + new * self._shrunk(own)) / (old + new) if old else own  # type: ignore[has-type]
            self._invert(slice(None), self.common)
            return
        for label in labels.unique().tolist():
            own = self.of_class(covariance(features[labels == label].double() ** self.tukey))
            if self.kind == "diagonal":
                self.precision[label] = 1 / F.normalize(own.diagonal(), dim=0).clamp(min=1e-12)
            else:
                self._invert(label, own)

    def of_class(self, own: Tensor) -> Tensor:
        """The covariance of a class [d, d], shrunk, as correlations."""
        for _ in range(self.times):
            own = self._shrunk(own)
        if not self.correlations or self.kind == "diagonal":
            return own
        deviations = own.diagonal().clamp(min=1e-12).sqrt()
        return own / deviations.outer(deviations)

    def _shrunk(self, own: Tensor) -> Tensor:
        """S + gamma1 V1 I + gamma2 V2 (1 - I); V2 is a mean over entries that are not 0 (release)."""
        identity = torch.eye(len(own), device=own.device, dtype=own.dtype)
        rest = own * (1 - identity)
        v1, v2 = own.diagonal().mean(), rest.sum() / (rest != 0).sum().clamp(min=1)
        return own + self.gammas[0] * v1 * identity + self.gammas[1] * v2 * (1 - identity)

    def _invert(self, where, matrix: Tensor) -> None:
        self.precision[where] = torch.linalg.pinv(matrix, hermitian=True).float()
        self._inverses += 1

    def settle(self) -> int:
        return 11 * self.features**3 * self._inverses  # eigenvalues and vectors, and their product

    def forward(self, features: Tensor, task: object = None) -> Tensor:
        """Minus the distances [N, classes] (of classes that were seen)."""
        x = F.normalize(features.double() ** self.tukey, dim=1)
        means = F.normalize(self.means**self.tukey, dim=1)
        distances = self._common(x, means) if self.kind == "common" else x.new_zeros(len(x), len(means))
        if self.kind != "common":  # class by class, since the differences of all would fill the memory
            for k in self.counts.nonzero().flatten().tolist():
                distances[:, k] = self._distance(x - means[k], self.precision[k])
        return self.seen_only(-distances)

    def _distance(self, d: Tensor, precision: Tensor) -> Tensor:
        if self.kind == "diagonal":
            return (d**2) @ precision.double()
        return ((d.float() @ precision) * d).sum(1)

    def _common(self, x: Tensor, means: Tensor) -> Tensor:
        """d^T P d of all differences with one product, d^T P d = x^T P x - 2 x^T P m + m^T P m, about the means' mean."""
        center = means[self.counts > 0].mean(0)
        x, means = x - center, means - center
        mapped = (x.float() @ self.precision).double()
        of_means = ((means.float() @ self.precision) * means).sum(1)
        return (mapped * x).sum(1, keepdim=True) - 2 * mapped @ means.T + of_means


def covariance(x: Tensor) -> Tensor:
    """Of rows x [N, d], by N - 1; of a single row zeros."""
    apart = x - x.mean(0)
    return apart.T @ apart / max(1, len(x) - 1)
