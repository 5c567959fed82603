"""Fully connected variational autoencoder (Kingma & Welling 2014), symmetric, as van de Ven & Tolias 2019 use it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.mlp import MLP

Likelihood = Literal["gaussian", "bernoulli"]
"""p(pixel | z): normal with variance 1 around the decoded pixel, or Bernoulli with it as its mean."""


class VAE(nn.Module):
    """Encoder `hidden` -> q(z|x) = N(mean, diag variance) -> the same layers in reverse -> a logit for each pixel.

    Prior p(z): standard normal. All pixels in [0, 1], float [N, C, H, W] (or flat where so named).
    """

    def __init__(self, image_shape: tuple[int, int, int], hidden: Sequence[int], latent: int):
        super().__init__()
        self.image_shape, self.latent = image_shape, latent
        self.pixels = math.prod(image_shape)
        self.encoder = MLP(self.pixels, hidden)
        self.to_latent = nn.Linear(self.encoder.features, 2 * latent)
        self.decoder = MLP(latent, hidden[::-1])
        self.to_pixels = nn.Linear(self.decoder.features, self.pixels)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), both [N, latent]."""
        mean, log_variance = self.to_latent(self.encoder(pixels)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """z [N, latent] -> logits of the pixels [N, C*H*W]."""
        return self.to_pixels(self.decoder(z))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n images decoded from draws of the prior (pixel means, not draws of pixels): [n, C, H, W] in [0, 1]."""
        z = torch.randn(n, self.latent, generator=generator)
        z = z.to(self.to_pixels.weight.device, non_blocking=True)
        return torch.sigmoid_(self.decode(z)).view(n, *self.image_shape)

    def loss(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Negative evidence lower bound in nats [N]: binary cross-entropy summed over pixels + KL(q(z|x) || p(z)).

        One draw of z an image; the KL in closed form (Kingma & Welling 2014, appendix B). van de Ven's code divides
        both terms by the number of pixels, which leaves their weights to each other as they are here.
        """
        mean, log_variance = self.encode(pixels)
        noise = torch.randn(mean.shape, generator=generator).to(mean.device, non_blocking=True)
        logits = self.decode(mean + noise * torch.exp(0.5 * log_variance))
        reconstruction = F.binary_cross_entropy_with_logits(logits, pixels.flatten(1), reduction="none").sum(1)
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
        return reconstruction + kl

    @torch.no_grad()
    def log_likelihood(self, pixels: Tensor, noise: Tensor, likelihood: Likelihood, rows: int = 1000) -> Tensor:
        """log p(x) [N] by importance sampling from q(z|x), up to a constant that is the same for every VAE of this shape.

        log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x), z_k = mean + std * noise[k] (Burda et al. 2016, eq. 8). noise
        [K, latent], standard normal, the same for every image. Decodes about `rows` z at a time: what a processor's
        cache holds.
        """
        mean, log_variance = self.encode(pixels)
        k = len(noise)
        # log p(z) - log q(z|x), where (z - mean) / std is the noise; the normalising constants cancel
        z = mean[:, None] + torch.exp(0.5 * log_variance)[:, None] * noise
        weight = 0.5 * (log_variance.sum(1, keepdim=True) + noise.square().sum(1) - z.square().sum(2))
        images = max(1, rows // k)
        log_p = torch.cat(
            [
                self._log_pixels(x, self.decode(part.flatten(0, 1)).view(len(x), k, self.pixels), likelihood)
                for x, part in zip(pixels.flatten(1).split(images), z.split(images), strict=True)
            ]
        )
        return torch.logsumexp(log_p + weight, dim=1) - math.log(k)

    @staticmethod
    def _log_pixels(x: Tensor, logits: Tensor, likelihood: Likelihood) -> Tensor:
        """log p(x|z) [N, K] for x [N, D] and logits [N, K, D]; "gaussian" without its constant."""
        if likelihood == "gaussian":
            return -0.5 * torch.sigmoid_(logits).sub_(x[:, None]).square_().sum(2)
        # log of sigmoid(l)^x (1 - sigmoid(l))^(1 - x) = x l - log(1 + e^l)
        return (logits @ x[:, :, None]).squeeze(2) - F.softplus(logits).sum(2)
