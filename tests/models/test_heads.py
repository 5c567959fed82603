"""Output layers keep what they learned when they grow."""

import pytest
import torch

from models import LinearHead, MultiHead


def test_growing_keeps_old_rows_bit_for_bit():
    head = LinearHead(3, 0)
    assert head(torch.randn(2, 3)).shape == (2, 0)
    head.grow(2)
    weight, bias = head.linear.weight.clone(), head.linear.bias.clone()
    head.grow(5)
    assert head.n_outputs == 5
    assert torch.equal(head.linear.weight[:2], weight)
    assert torch.equal(head.linear.bias[:2], bias)
    assert head.linear.weight.requires_grad
    with pytest.raises(ValueError, match="shrink"):
        head.grow(4)


def test_multi_head_computes_only_the_layer_asked_for():
    head = MultiHead(3, [2, 1, 2])
    x = torch.randn(4, 3)
    everything = head(x)
    assert everything.shape == (4, 5)
    own = head(x, 2)
    assert torch.equal(own[:, 3:], everything[:, 3:])
    assert (own[:, :3] == torch.finfo(own.dtype).min).all()
    own[:, 3:].sum().backward()
    assert [layer.weight.grad is not None for layer in head.layers] == [False, False, True]


def test_multi_head_refuses_another_size():
    head = MultiHead(3, [2, 2])
    head.grow(4)
    with pytest.raises(ValueError, match="from the start"):
        head.grow(6)
