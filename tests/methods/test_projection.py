"""GEM's quadratic program and A-GEM's projection."""

import numpy as np
import pytest
import torch

from benchmarks.cell.run import task_view, train_task
from methods import AGEM, GEM
from methods.gem import project, project_on_device
from methods.parts.gradients import flat_gradient, gradient_of
from tests.conftest import SHORT, SMALL_MODEL, small_split


def primal(gradient: np.ndarray, constraints: np.ndarray) -> np.ndarray:
    """min 1/2 |x - g|^2 with G x >= 0, by another solver on the primal form."""
    import qpsolvers

    n = len(gradient)
    return qpsolvers.solve_qp(np.eye(n), -gradient, -constraints, np.zeros(len(constraints)), solver="quadprog")


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_an_independent_solver(seed):
    rng = np.random.default_rng(seed)
    k, n = int(rng.integers(1, 8)), 30
    constraints, gradient = rng.normal(size=(k, n)), rng.normal(size=n)
    ours = project(torch.from_numpy(gradient), torch.from_numpy(constraints)).numpy()
    np.testing.assert_allclose(ours, primal(gradient, constraints), atol=1e-6)
    assert (constraints @ ours).min() >= -1e-6


@pytest.mark.parametrize("seed", range(5))
def test_an_accelerator_projects_as_the_processor_does(seed):
    rng = torch.Generator().manual_seed(seed)
    constraints, gradient = torch.randn(4, 300, generator=rng), torch.randn(300, generator=rng)
    for margin, ridge in ((0.0, 0.0), (0.5, 1e-3)):
        there = project_on_device(gradient, constraints, margin, ridge)
        if (constraints @ gradient < 0).any():
            torch.testing.assert_close(there, project(gradient, constraints, margin, ridge))
        else:
            assert there is None
    assert project_on_device(constraints[0], constraints[:1]) is None


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_every_constraint_holds_in_single_precision(margin, scale):
    torch.manual_seed(0)
    for _ in range(20):
        constraints, gradient = torch.randn(19, 5000) * scale, torch.randn(5000) * scale
        projected = project(gradient, constraints, margin)
        assert projected.dtype == torch.float32
        products = constraints.double() @ projected.double() / (constraints.norm(dim=1) * projected.norm()).double()
        assert products.min() >= -1e-6


def test_dependent_constraints_do_not_break_the_solver():
    """Repeated and parallel memory gradients: the case in which other solvers raise."""
    torch.manual_seed(0)
    row = torch.randn(100)
    constraints = torch.stack([row, row, 2 * row, torch.randn(100), torch.zeros(100)])
    gradient = -row + 0.1 * torch.randn(100)
    projected = project(gradient, constraints)
    assert (constraints @ projected).min() >= -1e-5
    assert torch.isfinite(projected).all()


def test_a_gradient_that_violates_nothing_is_left_alone():
    constraints = torch.eye(3)
    gradient = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(project(gradient, constraints), gradient)


def test_a_ridge_holds_back_the_answer_to_small_gradients():
    gradient, constraint = torch.tensor([1.0, 2.0]), torch.tensor([-0.03, 0.0])
    # one constraint: v = max(margin, -g.c / (c.c + ridge))
    for margin, ridge, v in ((0.0, 0.0, 0.03 / 0.0009), (0.0, 0.001, 0.03 / 0.0019), (20.0, 0.001, 20.0)):
        expected = gradient + v * constraint
        torch.testing.assert_close(project(gradient, constraint[None], margin, ridge), expected)


@pytest.mark.parametrize("ridge", [0.0, 0.001])
def test_gem_is_one_cell_whether_its_ridge_is_named_or_not(ridge):
    from tests.benchmarks.helpers import cells

    plain, named = (cells("gem", changes=c)[0].identity for c in ((), (f"methods.gem.ridge={ridge}",)))
    assert (plain == named) == (ridge == 0)  # added later: records from before it stay valid


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_gem_steps_raise_no_memory_loss_to_first_order(setting):
    scenario = small_split(setting, tasks=3, class_order=(0, 1, 2, 3, 4, 5))
    method = GEM(buffer_size=12, margin=0.0).start(scenario, SMALL_MODEL, SHORT)
    checked = []

    def check(batch, original=method.adjust_gradients):
        original(batch)
        parameters = list(method.network.parameters())
        step = flat_gradient(parameters).double()
        for old in method._past:
            memory = gradient_of(method.cross_entropy(method.logits(old), old), parameters).double()
            checked.append(float(memory @ step) / max(1e-12, float(memory.norm() * step.norm())))

    method.adjust_gradients = check
    for task in scenario.tasks:
        train_task(method, scenario, task)
    assert checked
    assert min(checked) >= -1e-6


def test_agem_projects_onto_the_reference_half_space():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    method = AGEM(buffer_size=10, reference_ratio=100.0).start(scenario, SMALL_MODEL, SHORT)
    train_task(method, scenario, scenario.tasks[0])
    method.enter(task_view(scenario, scenario.tasks[1], False))
    parameters = list(method.network.parameters())
    old = method.batch(method.buffer.all())
    reference = gradient_of(method.cross_entropy(method.logits(old), old), parameters)
    for sign, unchanged in ((1.0, True), (-1.0, False)):
        torch.manual_seed(0)
        noise = torch.randn_like(reference)
        wanted = sign * reference + 0.1 * reference.norm() / noise.norm() * noise  # points as `sign` says
        start = 0
        for p in parameters:
            p.grad = wanted[start : start + p.numel()].view_as(p).clone()
            start += p.numel()
        method.adjust_gradients(method.batch(scenario.tasks[1].train.examples()))
        after = flat_gradient(parameters)
        assert torch.equal(after, wanted) == unchanged
        if not unchanged:
            assert abs(float(after @ reference)) < 1e-4 * float(after.norm() * reference.norm() + 1e-9) + 1e-6
            torch.testing.assert_close(after, wanted - (wanted @ reference) / (reference @ reference) * reference)
