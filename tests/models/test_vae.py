"""The variational autoencoder: its bound, its samples and its importance-sampled likelihood."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from models import VAE

SHAPE = (1, 4, 4)


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(SHAPE, (12, 8), 3)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_it_is_symmetric(vae):
    widths = [layer.weight.shape for layer in vae.modules() if isinstance(layer, torch.nn.Linear)]
    assert [tuple(w) for w in widths] == [(12, 16), (8, 12), (6, 8), (8, 3), (12, 8), (16, 12)]


def test_the_loss_is_the_negative_bound_of_its_parts(vae, pixels):
    """Cross-entropy summed over pixels + the KL of torch.distributions, for the same draw of z."""
    loss = vae.loss(pixels, torch.Generator().manual_seed(2))
    mean, log_variance = vae.encode(pixels)
    posterior = Normal(mean, torch.exp(log_variance / 2))
    z = mean + posterior.scale * torch.randn(mean.shape, generator=torch.Generator().manual_seed(2))
    x = pixels.flatten(1)
    probability = torch.sigmoid(vae.decode(z))
    reconstruction = -(x * probability.log() + (1 - x) * (1 - probability).log()).sum(1)
    kl = kl_divergence(posterior, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1)
    torch.testing.assert_close(loss, reconstruction + kl)


def test_samples_are_images_and_come_from_the_generator_alone(vae):
    one = vae.sample(5, torch.Generator().manual_seed(3))
    torch.manual_seed(99)
    other = vae.sample(5, torch.Generator().manual_seed(3))
    assert one.shape == (5, *SHAPE)
    assert torch.equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 1
    assert not one.requires_grad


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_likelihood_is_the_importance_weighted_mean(vae, pixels, likelihood):
    """Against the definition written with torch.distributions, sample by sample."""
    noise = torch.randn(7, 3, generator=torch.Generator().manual_seed(4))
    got = vae.log_likelihood(pixels, noise, likelihood)
    x = pixels.flatten(1)
    prior = Normal(torch.zeros(3), torch.ones(3))
    with torch.no_grad():
        mean, log_variance = vae.encode(pixels)
        posterior = Normal(mean, torch.exp(log_variance / 2))
        terms = []
        for eps in noise:
            z = mean + posterior.scale * eps
            logits = vae.decode(z)
            if likelihood == "gaussian":
                log_pixels = Normal(torch.sigmoid(logits), 1.0).log_prob(x).sum(1) + 8 * math.log(2 * math.pi)
            else:
                log_pixels = Bernoulli(logits=logits, validate_args=False).log_prob(x).sum(1)
            terms.append(log_pixels + prior.log_prob(z).sum(1) - posterior.log_prob(z).sum(1))
    expected = torch.logsumexp(torch.stack(terms), 0) - math.log(7)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_the_likelihood_does_not_depend_on_how_many_rows_are_decoded_at_once(vae, pixels):
    noise = torch.randn(5, 3, generator=torch.Generator().manual_seed(4))
    whole = vae.log_likelihood(pixels, noise, "gaussian")
    torch.testing.assert_close(vae.log_likelihood(pixels, noise, "gaussian", rows=1), whole)


def test_training_makes_what_it_saw_likelier_than_what_it_did_not(vae):
    """Images that are all alike become likelier than their negatives, under both likelihoods."""
    generator = torch.Generator().manual_seed(5)
    seen = torch.zeros(40, *SHAPE)
    seen[:, :, :2] = 1
    optimizer = torch.optim.Adam(vae.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        vae.loss(seen, generator).mean().backward()
        optimizer.step()
    noise = torch.randn(20, 3, generator=generator)
    for likelihood in ("gaussian", "bernoulli"):
        assert vae.log_likelihood(seen[:1], noise, likelihood) > vae.log_likelihood(1 - seen[:1], noise, likelihood) + 1
    assert (vae.sample(50, generator) - seen[0]).abs().mean() < 0.1
