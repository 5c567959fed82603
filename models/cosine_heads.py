"""Output layers that compare directions: one proxy a class (UCIR) or several (PODNet).

Both keep the rows of each growth as a parameter of its own in `rows`: the old ones stay bit for bit, and a
phase freezes them by leaving them out of its parameters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineHead(nn.Module):
    """Scaled cosine between features and one vector a class (Hou et al. 2019, UCIR: cosine normalization).

    forward: features [N, d] -> logits [N, n_outputs] = scale * similarities, with one learned `scale`.
    """

    def __init__(self, features: int, n_outputs: int = 0, scale: float = 1.0, proxies: int = 1):
        super().__init__()
        self.features = features
        self.proxies = proxies
        self.rows = nn.ParameterList()
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.grow(n_outputs)

    @property
    def n_outputs(self) -> int:
        return sum(len(rows) for rows in self.rows) // self.proxies

    @property
    def weight(self) -> Tensor:
        """All proxies, [n_outputs * proxies, d], those of a class side by side."""
        return torch.cat(list(self.rows)) if len(self.rows) else self.scale.new_empty(0, self.features)

    def grow(self, n_outputs: int) -> None:
        """Adds freshly initialised classes up to n_outputs in all (uniform within 1/sqrt(d), as nn.Linear).

        Raises ValueError for fewer than there are.
        """
        added = n_outputs - self.n_outputs
        if added < 0:
            raise ValueError(f"a head of {self.n_outputs} columns cannot shrink to {n_outputs}")
        if added == 0:
            return
        bound = self.features**-0.5
        # Drawn on the CPU, so that a head starts with the same values whatever device it is on.
        fresh = torch.empty(added * self.proxies, self.features).uniform_(-bound, bound)
        self.rows.append(nn.Parameter(fresh.to(self.scale.device)))

    def forward(self, features: Tensor, task: int | Tensor | None = None) -> Tensor:
        return self.scale * self.similarities(features)

    def similarities(self, features: Tensor) -> Tensor:
        """[N, d] -> cosines [N, n_outputs] within [-1, 1]: logits before the scale, for margin losses."""
        return F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))

    @torch.no_grad()
    def imprint(self, features: Tensor, labels: Tensor, seed: int = 0) -> None:
        """Starts the newest classes from their features [N, d], labels int64 [N] (columns of this head).

        Each class gets its `prototypes`, at the mean norm of the older rows (1 where there are none): a norm
        does not change a cosine, but it does change how fast training turns the row.
        Raises ValueError for a label that is not among the columns of the last growth.
        """
        if not len(self.rows):
            raise ValueError("nothing to imprint: grow the head first")
        newest = self.rows[-1]
        first = self.n_outputs - len(newest) // self.proxies
        classes = labels.unique().tolist()
        if classes and not first <= classes[0] <= classes[-1] < self.n_outputs:
            last = self.n_outputs - 1
            raise ValueError(f"imprint sets columns {first} to {last}, not {classes[0]} to {classes[-1]}")
        norm = torch.cat(list(self.rows)[:-1]).norm(dim=1).mean() if len(self.rows) > 1 else 1.0
        unit = F.normalize(features.float(), dim=1)
        for label in classes:
            start = (label - first) * self.proxies
            directions = self.prototypes(unit[labels == label], seed)
            newest[start : start + self.proxies] = F.normalize(directions, dim=1).to(newest) * norm

    def prototypes(self, features: Tensor, seed: int) -> Tensor:
        """Unit features of one class [n, d] -> [1, d], their mean (Qi et al. 2018). Needs no seed."""
        return features.mean(0, keepdim=True)


class MultiProxyHead(CosineHead):
    """Several proxies a class, whose similarities are averaged with their own softmax as weights.

    The local similarity classifier of PODNet (Douillard et al. 2020): the sum over a class's k of
    s_k <theta_k, h>, with s the softmax over k of <theta_k, h> and all vectors of length 1. distance: in place of the
    cosine the negative squared distance, 2 cos - 2, so that the softmax starts twice as sharp.
    forward: features [N, d] -> logits [N, n_outputs].
    """

    def __init__(
        self, features: int, n_outputs: int = 0, scale: float = 1.0, proxies: int = 10, distance: bool = False
    ):
        self.distance = distance
        super().__init__(features, n_outputs, scale, proxies)

    def similarities(self, features: Tensor) -> Tensor:
        similar = super().similarities(features).view(len(features), self.n_outputs, self.proxies)
        if self.distance:
            similar = 2 * similar - 2
        return (similar.softmax(dim=2) * similar).sum(dim=2)

    def prototypes(self, features: Tensor, seed: int) -> Tensor:
        """Unit features of one class [n, d] -> [proxies, d], their k-means centres (PODNet).

        A class with fewer than `proxies` different features repeats its centres.
        """
        from sklearn.cluster import KMeans

        points = features.cpu().numpy()
        n_clusters = min(self.proxies, len(features.unique(dim=0)))
        centres = KMeans(n_clusters, n_init=10, random_state=seed % 2**32).fit(points).cluster_centers_
        repeated = torch.arange(self.proxies) % n_clusters
        return torch.from_numpy(centres).to(features)[repeated.to(features.device)]
