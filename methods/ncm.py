"""NCM: the nearest class mean (Mensink et al. 2013); by cosine "SimpleCIL" (Zhou et al. 2023)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.core.method import hyper
from methods.parts.feature_head import FeatureHead, OnFrozenFeatures


class NCM(OnFrozenFeatures):
    """Answers with the class whose mean of features is nearest to the image's. The backbone is not trained.

    Three rules go by this name: Euclidean distances of features as they are; of features divided by their length before
    the mean, which is not divided again (FeCAM's release); and cosines to means of features as they are (SimpleCIL).
    """

    about = "answers with the nearest class mean of frozen features"
    source = "Mensink et al. 2013, Distance-based image classification; Zhou et al. 2023 (SimpleCIL)"

    similarity: Literal["euclidean", "cosine"] = hyper(
        "euclidean",
        "measure by which a mean is nearest",
        "euclidean: Mensink et al. 2013; cosine: SimpleCIL, PILOT's code",
    )
    unit_length: bool = hyper(
        False, "division of features by their length before the mean", "no: PILOT, Avalanche; yes: FeCAM's release"
    )

    def _head(self, features, columns):
        return MeansHead(features, columns, self.similarity, self.unit_length)


class MeansHead(FeatureHead):
    """Scores [N, classes]: minus the distance to each mean, or the cosine with it."""

    def __init__(self, features: int, n_outputs: int, similarity: str, unit_length: bool):
        super().__init__(features, n_outputs)
        self.similarity, self.unit_length = similarity, unit_length

    def add_sums(self, x: Tensor, y: Tensor) -> None:
        super().add_sums(F.normalize(x, dim=1) if self.unit_length else x, y)

    def forward(self, features: Tensor, task: object = None) -> Tensor:
        x = features.double()
        if self.similarity == "cosine":
            return self.seen_only(F.normalize(x, dim=1) @ F.normalize(self.means, dim=1).T)
        if self.unit_length:
            x = F.normalize(x, dim=1)
        return self.seen_only(-torch.cdist(x, self.means))
