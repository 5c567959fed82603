"""Features of stored examples, and classification by the nearest class mean (iCaRL, UCIR, PODNet)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.base import Method
from methods.exemplars import ExemplarMemory
from scenarios import Examples


@torch.no_grad()
def features_of(method: Method, examples: Examples, flipped: bool = False, batch_size: int = 512) -> Tensor:
    """The backbone's features [n, d] of `examples`, float32, in eval mode, in batches; `flipped`: of mirrored images."""
    network = method.network
    training = network.training
    network.eval()
    features = []
    for rows in torch.arange(len(examples), device=examples.labels.device).split(batch_size):
        images = examples[rows].to(method.device).images
        with method.precision():
            x = method.normalise(images.flip(-1) if flipped else images)
            features.append(network.backbone(x).float())
    network.train(training)
    return torch.cat(features)


class NearestMean:
    """Classifies by the mean of each class's exemplars, among features of length 1 (Rebuffi et al. 2017, Algorithm 1).

    A mean is taken over normalised features and normalised again; with `flip`, over the mirrored images' too.
    """

    def __init__(self, method: Method, memory: ExemplarMemory, flip: bool = False):
        self.labels = memory.classes
        self.means = torch.stack([self._mean(method, memory.of(label), flip) for label in self.labels])

    @staticmethod
    def _mean(method: Method, exemplars: Examples, flip: bool) -> Tensor:
        views = [features_of(method, exemplars, flipped) for flipped in ([False, True] if flip else [False])]
        return F.normalize(F.normalize(torch.cat(views), dim=1).mean(0), dim=0)

    def scores(self, features: Tensor, width: int) -> Tensor:
        """Features [N, d] -> cosines to the class means in their columns of [N, width], the lowest float elsewhere.

        Among vectors of length 1 the nearest mean is that of the greatest cosine.
        """
        cosines = F.normalize(features.float(), dim=1) @ self.means.T
        scores = cosines.new_full((len(features), width), torch.finfo(cosines.dtype).min)
        scores[:, self.labels] = cosines
        return scores

    @property
    def nbytes(self) -> int:
        return self.means.numel() * self.means.element_size()
