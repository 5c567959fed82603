"""Adaptive SAM against its equations."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from methods.parts import sam


def parameters(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    made = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (4,), (2,))]
    for p in made[:2]:
        p.grad = torch.randn(p.shape, generator=generator)
    return made  # the last has no gradient


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 3), st.sampled_from([0.0, 0.01]))
def test_the_step_uphill_is_equation_7_and_is_undone_exactly(seed, rho, eta):
    moved = parameters(seed)
    w = torch.cat([p.detach().flatten() for p in moved[:2]]).double()
    g = torch.cat([p.grad.flatten() for p in moved[:2]]).double()
    start = [p.detach().clone() for p in moved]
    before = sam.ascend(moved, rho, eta)
    t = w.abs() + eta
    step = rho * t**2 * g / (t * g).norm()
    now = torch.cat([p.detach().flatten() for p in moved[:2]]).double()
    torch.testing.assert_close(now, w + step, rtol=1e-4, atol=1e-5)
    # on the boundary of the region |T^-1 epsilon| <= rho
    assert abs(float((step / t).norm()) - rho) < 1e-6
    sam.restore(before)
    assert all(torch.equal(p, s) for p, s in zip(moved, start, strict=True))


def test_scaling_a_parameter_scales_its_step_alike():
    one, other = parameters(0)[0], parameters(0)[0]
    with torch.no_grad():
        other *= 5
        other.grad /= 5
    start = one.detach().clone()
    sam.ascend([one], 0.5, 0.0)
    sam.ascend([other], 0.5, 0.0)
    torch.testing.assert_close(other, 5 * one)
    assert not torch.allclose(one, start)


def test_without_gradients_nothing_moves():
    assert sam.ascend([nn.Parameter(torch.ones(2))], 1.0) == []
