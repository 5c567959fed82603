"""SLDA: streaming linear discriminant analysis (Hayes & Kanan 2020)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.core.method import hyper
from methods.parts.feature_head import FeatureHead, OnFrozenFeatures, rows


class SLDA(OnFrozenFeatures):
    """Class means and one covariance, updated image by image; scores are those of Gaussians that share it.

    With S the covariance, s the shrinkage and L = ((1 - s) S + s I)^-1: score_k = x L mu_k - mu_k L mu_k / 2.
    "streaming" (the release): image n, counted from 0, of class y with e = x - mu_y before the mean's update gives
    S <- (n S + n / (n + 1) e e^T) / (n + 1); a class's first image enters whole, since its mean is still 0. "pooled" weighs
    e e^T by c / (c + 1), c being the class's images so far, which is the exact covariance within classes whatever the order.
    """

    about = "class means and one running covariance of frozen features: linear discriminant analysis"
    source = "Hayes & Kanan 2020, Lifelong machine learning with deep streaming linear discriminant analysis"

    shrinkage: Annotated[float, Field(ge=0, le=1)] = hyper(
        1e-4, "share of the identity in the covariance", "Hayes & Kanan 2020"
    )
    covariance: Literal["streaming", "pooled"] = hyper(
        "streaming",
        "update of the covariance",
        "streaming: Hayes & Kanan's code; pooled: Welford 1962, in any order",
    )

    def _head(self, features, columns):
        return DiscriminantHead(features, columns, self.shrinkage, self.covariance == "pooled")


class DiscriminantHead(FeatureHead):
    """scatter [d, d]: the number of images so far times their covariance; weight [classes, d], bias [classes]."""

    scatter: Tensor
    weight: Tensor
    bias: Tensor
    state_by_class = ("counts", "sums", "weight", "bias")

    def __init__(self, features: int, n_outputs: int, shrinkage: float, pooled: bool):
        super().__init__(features, n_outputs)
        self.shrinkage, self.pooled = shrinkage, pooled
        self.keep(
            scatter=torch.zeros(features, features),
            weight=torch.zeros(n_outputs, features),
            bias=torch.zeros(n_outputs),
        )

    def add(self, features: Tensor, labels: Tensor) -> None:
        for x, y in rows(features, labels):
            apart, earlier = self._from_running_means(x, y)
            n = self.counts.sum() + torch.arange(len(x), device=x.device)
            before = earlier if self.pooled else n
            self.scatter += apart.T @ (apart * (before / (before + 1)).unsqueeze(1))
            self.add_sums(x, y)

    def _from_running_means(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Of each row its distance [N, d] from its class's mean just before it, and that mean's number of images [N]."""
        order = y.argsort(stable=True)
        first = torch.searchsorted(y[order], y[order])  # where each row's class begins among the sorted
        so_far = x[order].cumsum(0) - x[order]
        earlier_sum = so_far - so_far[first] + self.sums[y[order]]
        earlier = torch.arange(len(y), device=y.device) - first + self.counts[y[order]]
        back = order.argsort()
        apart = x[order] - earlier_sum / earlier.clamp(min=1).unsqueeze(1)
        return apart[back], earlier[back]

    @property
    def covariance(self) -> Tensor:
        return self.scatter / self.counts.sum().clamp(min=1)

    def settle(self) -> int:
        d = self.features
        shrunk = (1 - self.shrinkage) * self.covariance
        shrunk.diagonal().add_(self.shrinkage)
        self.weight = torch.linalg.solve(shrunk, self.means.T).T.contiguous()
        self.bias = -(self.means * self.weight).sum(1) / 2
        return 2 * d**3 // 3 + 2 * d**2 * self.n_outputs

    def forward(self, features: Tensor, task: object = None) -> Tensor:
        return self.seen_only(features.double() @ self.weight.T + self.bias)
