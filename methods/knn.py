"""kNN: a vote of the nearest stored features (Wu et al. 2018; Caron et al. 2021)."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from methods.core.method import hyper
from methods.parts.feature_head import FeatureHead, OnFrozenFeatures


class KNN(OnFrozenFeatures):
    """Keeps the features of all training images; the k of the greatest cosine vote, with weights exp(cosine / temperature)."""

    about = "a vote of the nearest frozen features of all training images, which it keeps"
    source = "Wu et al. 2018, Unsupervised feature learning via non-parametric instance discrimination"

    k: Annotated[int, Field(ge=1)] = hyper(20, "neighbours that vote", "Caron et al. 2021 (DINO)")
    temperature: Annotated[float, Field(gt=0)] = hyper(0.07, "temperature of the weights of votes", "Wu et al. 2018")

    def _head(self, features, columns):
        return NeighboursHead(features, columns, self.k, self.temperature)


class NeighboursHead(FeatureHead):
    """stored float32 [N, d], of length 1, and their classes int64 [N]."""

    stored: Tensor
    classes: Tensor

    def __init__(self, features: int, n_outputs: int, k: int, temperature: float):
        super().__init__(features, n_outputs)
        self.k, self.temperature = k, temperature
        self.register_buffer("stored", torch.zeros(0, features))
        self.register_buffer("classes", torch.zeros(0, dtype=torch.int64))

    def add(self, features: Tensor, labels: Tensor) -> None:
        super().add(features, labels)
        self.stored = torch.cat([self.stored, F.normalize(features, dim=1)])
        self.classes = torch.cat([self.classes, labels])

    def forward(self, features: Tensor, task: object = None) -> Tensor:
        """Votes [N, classes]."""
        if not len(self.classes):
            return features.new_zeros(len(features), self.n_outputs)
        cosines = F.normalize(features.float(), dim=1) @ self.stored.T
        near, where = cosines.topk(min(self.k, len(self.classes)), dim=1)
        votes = near.new_zeros(len(near), self.n_outputs)
        # relative to a cosine of 1, which cannot be passed: no weight overflows
        return votes.scatter_add_(1, self.classes[where], ((near - 1) / self.temperature).exp())
