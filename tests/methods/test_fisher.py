"""The batched Fisher diagonal against one gradient at a time."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from methods.parts.fisher import fisher_diagonal, squared_mean_gradient
from methods.parts.per_example import only_linear
from models import MLP, LinearHead, Network

torch.manual_seed(0)
X, Y = torch.randn(12, 1, 3, 3), torch.randint(0, 4, (12,))


def linear_network():
    torch.manual_seed(1)
    return Network(MLP(9, (6, 5)), LinearHead(5, 4))


def convolutional_network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))


def one_at_a_time(network, labels: str) -> list[torch.Tensor]:
    """The definition: the mean over examples of the (expected) squared gradient of log p(y|x)."""
    total = [torch.zeros_like(p) for p in network.parameters()]
    for x, y in zip(X, Y, strict=True):
        log_p = F.log_softmax(network(x[None]), dim=1)[0]
        p = log_p.detach().exp()
        weights = {
            "true": F.one_hot(y, 4).float(),
            "true_weighted": F.one_hot(y, 4) * p,
            "predicted": F.one_hot(p.argmax(), 4).float(),
            "all": p,
        }[labels]
        for k in range(4):
            grads = torch.autograd.grad(log_p[k], list(network.parameters()), retain_graph=True)
            for t, g in zip(total, grads, strict=True):
                t += weights[k] * g.square()
    return [t / len(X) for t in total]


@pytest.mark.parametrize("labels", ["true", "true_weighted", "predicted", "all"])
@pytest.mark.parametrize("build", [linear_network, convolutional_network])
def test_equals_one_gradient_at_a_time(build, labels):
    network = build()
    assert only_linear(network) == (build is linear_network)
    batches = [(X[:5], Y[:5]), (X[5:], Y[5:])]
    batched = fisher_diagonal(network, network, batches, labels)
    for a, b in zip(batched, one_at_a_time(network, labels), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-8)


def test_sampled_labels_average_to_the_exact_fisher():
    network = linear_network()
    exact = fisher_diagonal(network, network, [(X, Y)], "all")
    generator = torch.Generator().manual_seed(0)
    draws = 3000
    sampled = fisher_diagonal(network, network, ((X, Y) for _ in range(draws)), "sampled", generator)
    ours, theirs = (torch.cat([t.flatten() for t in f]) for f in (sampled, exact))
    assert (ours - theirs).norm() / theirs.norm() < 0.03


def test_a_layer_used_twice_is_not_mistaken_for_two():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(2)
            self.shared, self.out = nn.Linear(9, 9), nn.Linear(9, 4)

        def forward(self, x):
            return self.out(torch.tanh(self.shared(torch.tanh(self.shared(x.flatten(1))))))

    network = Twice()
    batched = fisher_diagonal(network, network, [(X, Y)], "true")
    for a, b in zip(batched, one_at_a_time(network, "true"), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("build", [linear_network, convolutional_network])
def test_the_square_of_the_mean_gradient_is_that_of_the_whole_loss(build):
    network = build()
    expected = torch.autograd.grad(F.cross_entropy(network(X), Y), list(network.parameters()))
    pieces = squared_mean_gradient(network, network, [(X[:5], Y[:5]), (X[5:], Y[5:])])
    each = fisher_diagonal(network, network, [(X, Y)], "true")
    for ours, g, fisher in zip(pieces, expected, each, strict=True):
        torch.testing.assert_close(ours, g.square(), rtol=1e-4, atol=1e-9)
        assert (ours <= fisher + 1e-9).all(), "Jensen: the square of a mean is at most the mean of squares"
