"""Classification by the nearest class mean (iCaRL, UCIR, PODNet)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.core.method import Method
from methods.parts.exemplars import ExemplarMemory
from methods.parts.features import features_of
from models.full_precision import full_precision
from scenarios import Examples


class NearestMean:
    """Classifies by the mean of each class's exemplars, among features of length 1 (Rebuffi et al. 2017, Algorithm 1).

    A mean is taken over normalised features and normalised again; with `flip`, over the mirrored images' too.
    """

    def __init__(self, method: Method, memory: ExemplarMemory, flip: bool = False):
        self.labels = memory.classes
        exemplars = [memory.of(label) for label in self.labels]
        every = Examples.concatenate(exemplars)
        views = [features_of(method, every, flipped) for flipped in ([False, True] if flip else [False])]
        own = F.normalize(torch.stack(views), dim=2).split([len(e) for e in exemplars], dim=1)
        self.means = torch.stack([F.normalize(features.mean((0, 1)), dim=0) for features in own])

    def scores(self, features: Tensor, width: int) -> Tensor:
        """Features [N, d] -> cosines to the class means in their columns of [N, width], the lowest float elsewhere.

        Among vectors of length 1 the nearest mean is that of the greatest cosine.
        """
        with full_precision(features):
            cosines = F.normalize(features.float(), dim=1) @ self.means.T
        scores = cosines.new_full((len(features), width), torch.finfo(cosines.dtype).min)
        scores[:, self.labels] = cosines
        return scores

    @property
    def nbytes(self) -> int:
        return self.means.nbytes
