"""Losses, gradients and steps of the methods that mammoth has too, against mammoth's own code.

Its networks have all columns from the start, so the streams here do: `active_outputs: all`.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from methods import METHODS, Recipe
from methods.core.recipe import ClipGradient
from methods.gem import project
from methods.parts.quadratic import QuadraticPenalty
from scenarios import Examples
from tests.parity.cases import assert_close, at_task, cases
from tests.parity.comparisons import AS_RELEASED

CLOSE = {"rtol": 1e-6, "atol": 1e-7}


class Linear(nn.Module):
    """The release's network: logits = x W^T + b, the k-th scalar of W 0.5 sin(k), of b 0.5 sin(k + 30)."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4, dtype=torch.float64)
        self.layer.weight.data = 0.5 * torch.sin(torch.arange(12, dtype=torch.float64)).view(4, 3)
        self.layer.bias.data = 0.5 * torch.sin(torch.arange(4, dtype=torch.float64) + 30)

    def forward(self, x: Tensor, task: object = None) -> Tensor:
        return self.layer(x)


class Given:
    """A method at task 1 of two of two classes, with the release's network and images that are the given rows."""

    def __init__(self, name: str, lr: float = 0.1, task_sizes: tuple[int, ...] = (2, 2), clip=None, **settings):
        recipe = Recipe(clip_gradient=clip)
        self.method = at_task(METHODS[name](**settings), list(task_sizes), recipe, active_outputs="all")
        self.method.network = Linear()
        self.pool: list[Tensor] = []
        self.method.normalise = lambda images: torch.stack(self.pool)[images.flatten().long()]
        self.optimizer = torch.optim.SGD(self.method.network.parameters(), lr=lr)

    def examples(self, x, labels, tasks=1) -> Examples:
        first = len(self.pool)
        self.pool += torch.tensor(x, dtype=torch.float64)
        images = torch.arange(first, len(self.pool), dtype=torch.uint8).view(-1, 1, 1, 1)
        return Examples(images, torch.tensor(labels), torch.tensor(tasks) if isinstance(tasks, list) else tasks)

    def step(self, examples: Examples, phase=None) -> Tensor:
        method = self.method
        return method.observe(method.batch(examples), self.optimizer, phase or method.phase(examples))

    @property
    def gradient(self) -> Tensor:
        return torch.cat([p.grad.flatten() for p in self.method.network.parameters()])

    @property
    def parameters(self) -> Tensor:
        return flat(self.method.network.parameters())


def flat(tensors) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def assert_step(given: Given, new: Examples, outputs) -> None:
    loss = given.step(new)
    assert_close(loss, outputs["loss"], **CLOSE)
    assert_close(given.gradient, outputs["grad"], **CLOSE)
    assert_close(given.parameters, outputs["params_after_sgd_step"], **CLOSE)


@pytest.mark.parametrize(("inputs", "outputs"), cases("er_der_derpp"))
def test_replay_of_a_step(inputs, outputs):
    name = {"er": "er", "der": "der_replay"}.get(inputs["case"], "derpp")
    given = Given(name, inputs["lr"], buffer_size=3, **{k: inputs[k] for k in ("alpha", "beta") if k in inputs})
    buffer = given.method.buffer
    new = given.examples(inputs["x"], inputs["labels"])
    if name == "er":
        buffer.add(given.examples(inputs["buffer_x"], inputs["buffer_labels"]))
    elif name == "der_replay":
        logits = torch.tensor(inputs["buffer_logits"], dtype=torch.float64)
        buffer.offer(given.examples(inputs["buffer_x"], [0, 0, 0]), logits)
    elif "first_draw_x" in inputs:
        logits = torch.tensor(inputs["first_draw_logits"], dtype=torch.float64)
        buffer.offer(given.examples(inputs["first_draw_x"], [0, 0, 0]), logits)
        second = given.examples(inputs["second_draw_x"], inputs["second_draw_labels"])
        buffer.sample = lambda n: second
    offered: list[Tensor] = []
    if name != "er":
        buffer.offer = lambda examples, logits: offered.append(logits)
    assert_step(given, new, outputs)
    if name != "er":
        assert_close(offered[0], outputs["logits_stored"], **CLOSE)


@pytest.mark.parametrize(("inputs", "outputs"), cases("gem_agem", "projection"))
def test_projection_of_gem(inputs, outputs):
    gradient, rows = (torch.tensor(inputs[k], dtype=torch.float64) for k in ("gradient", "memory_gradients"))
    assert_close(rows @ gradient, outputs["dot_products"], **CLOSE)
    assert bool((rows @ gradient < 0).any()) == outputs["violated"]
    found = project(gradient, rows, inputs["margin"], AS_RELEASED["gem"]["ridge"]) if outputs["violated"] else gradient
    assert_close(found, outputs["result"], **CLOSE)


@pytest.mark.parametrize(("inputs", "outputs"), cases("gem_agem", "agem_violated", "agem_not"))
def test_projection_of_agem(inputs, outputs, monkeypatch):
    given = Given("a-gem", buffer_size=4)
    gradient, reference = (torch.tensor(inputs[k], dtype=torch.float64) for k in ("gradient", "reference"))
    given.method.network = nn.ParameterList([nn.Parameter(torch.zeros(6, dtype=torch.float64))])
    given.method.network[0].grad = gradient.clone()
    given.method._past = given.examples([[0.0] * 3], [0])
    monkeypatch.setattr("methods.agem.gradient_of", lambda loss, parameters: reference)
    monkeypatch.setattr("methods.core.method.Method.loss", lambda self, batch: None)
    given.method.adjust_gradients(given.method.batch(given.method._past))
    assert_close(torch.dot(gradient, reference), outputs["dot_product"], **CLOSE)
    assert_close(given.method.network[0].grad, outputs["result"], **CLOSE)


@pytest.mark.parametrize(("inputs", "outputs"), cases("gem_agem", "gem_step", "agem_step"))
def test_step_of_gem_and_agem(inputs, outputs):
    name = {"gem_step": "gem", "agem_step": "a-gem"}[inputs["case"]]
    settings = {"margin": inputs["margin"]} | AS_RELEASED["gem"] if name == "gem" else {}
    given = Given(name, inputs["lr"], (2, 1, 1) if name == "gem" else (2, 2), buffer_size=6, **settings)
    method = given.method
    new = given.examples(inputs["x"], inputs["labels"])
    tasks = inputs.get("buffer_tasks", [0] * len(inputs["buffer_x"]))
    old = given.examples(inputs["buffer_x"], inputs["buffer_labels"], tasks)
    method.buffer.tasks = [old[(old.task_ids == task).nonzero().flatten()] for task in sorted(set(tasks))]
    method.begin_task(method.task)
    if name == "gem":
        method._constraints = method._constraints.double()
    loss = given.step(new)
    assert_close(loss, outputs["loss"], **CLOSE)
    if name == "gem":
        assert_close(method._constraints, outputs["memory_gradients"], **CLOSE)
    assert_close(given.gradient, outputs["gradient_used"], **CLOSE)
    assert_close(given.parameters, outputs["params_after_sgd_step"], **CLOSE)


def test_online_ewc():
    story = {case.id: case.values for case in cases("ewc_online")}
    first, expected = story["task1"]
    given = Given(
        "ewc",
        story["task2_two_steps"][0]["lr"],
        **AS_RELEASED["ewc"],
        strength=first["e_lambda"],
        gamma=first["gamma"],
    )
    method = given.method
    method.penalty = QuadraticPenalty()

    def end(data: Examples):
        method.end_task(type(method.task)(method.task.id, method.task.outputs, data))
        return flat(method.penalty.importance)

    assert_close(end(given.examples(first["x"], first["labels"])), expected["importance"], **CLOSE)
    for part in ("task2_two_steps", "task3_two_steps"):
        inputs, expected = story[part]
        data = given.examples(inputs["x"], inputs["labels"])
        for k in range(2):
            assert_close(given.step(data), expected["cross_entropy"][k], **CLOSE)
            assert_close(given.gradient, expected["gradients"][k], **CLOSE)
            for name in {f"params_after_step{k + 1}", *(["params"] if k else [])} & expected.keys():
                assert_close(given.parameters, expected[name], **CLOSE)
        penalty = expected.get("penalty", expected.get("penalty_after_step2"))
        value = method.penalty.value(list(method.network.parameters()))
        assert_close(first["e_lambda"] * value, penalty, **CLOSE)
        if part == "task2_two_steps":
            assert_close(end(data), story["after_task2"][1]["importance"], **CLOSE)


def test_synaptic_intelligence():
    story = [case.values for case in cases("si")]
    settings = story[0][0]
    # mammoth's gradient is 2 c, as of a penalty of c times the squares; ours is written as that penalty
    given = Given("si", settings["lr"], clip=ClipGradient(value=1.0), strength=settings["c"], damping=settings["xi"])
    method = given.method
    method.penalty = QuadraticPenalty()
    for inputs, expected in story:
        data = given.examples(inputs["x"], inputs["labels"])
        method.begin_task(method.task)
        for k, (loss, penalty) in enumerate(expected["cross_entropy_and_sum_Omega_delta2_before_each_step"]):
            if method.penalty:
                assert_close(method.penalty.value(list(method.network.parameters())), penalty, **CLOSE)
            assert_close(given.step(data), loss, **CLOSE)
            assert_close(given.gradient, expected["gradients_used"][k], **CLOSE)
        assert_close(flat(method._path), expected["path_integral"], **CLOSE)
        assert_close(given.parameters, expected["params"], **CLOSE)
        method.end_task(method.task)
        assert_close(flat(method.penalty.importance), expected["Omega_after"], **CLOSE)
