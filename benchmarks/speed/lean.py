"""What a step of the harness costs over a lean loop: the same arithmetic, written out for one method at a time.

The lean loop takes its images by `index_select` from a float tensor that was normalised once, has one fused optimizer,
and no hooks, layouts, meters or checks. Both train the second task of a domain-incremental stream from the same
weights, memories and generators, and end at the same weights (tests/benchmarks/test_speed.py), one after the other
several times over, on one thread. What is compared is CPU time, which other programs on the machine disturb least.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cell.evaluate import evaluate
from benchmarks.cell.fit import Trainer, fit
from benchmarks.cell.matmul_backend import fast_products
from benchmarks.cell.run import task_view, train_task
from methods import Method, Recipe, method_class
from methods.gem import project
from models import ModelSettings
from scenarios import Examples, Scenario
from scenarios.seeding import generator_for

SETTINGS: dict[str, dict[str, Any]] = {
    "finetune": {},
    "er": {"buffer_size": 1000},
    "ewc": {"strength": 100.0},
    "si": {"strength": 1.0},
    "lwf": {},
    "a-gem": {"buffer_size": 1000},
    "derpp": {"buffer_size": 1000},
    "gem": {"buffer_size": 1000},
}
MOST = {64: 1.07, 10: 1.12}
"""The target by batch size: harness over lean loop."""

Step = Callable[[Tensor, Tensor, int], None]
"""(images float [N, C, H, W], labels int64 [N], epoch) -> a step taken."""


def before_the_second_task(scenario: Scenario, name: str, recipe: Recipe, model: ModelSettings) -> Method:
    """A method of SETTINGS that has finished the first task and entered the second."""
    method = method_class(name).from_settings(SETTINGS[name]).start(scenario, model, recipe)
    train_task(method, scenario, scenario.tasks[0])
    method.enter(task_view(scenario, scenario.tasks[1], method.sees_past_data))
    return method


def lean_loop(method: Method, recipe: Recipe) -> None:
    """Trains the method's network by hand on its task, as `fit` would, with what the method remembers and draws."""
    examples = method.task.train
    images, labels = method.normalise(examples.images), examples.labels
    network = nn.Sequential(nn.Flatten(), *_layers(method.network))
    optimizer = recipe.optimizer.build(network.parameters())
    step = LOOPS[_name_of(method)](method, network, optimizer)
    order = generator_for(method.seed, "batches", method.task.id, 0)
    for epoch in range(recipe.epochs or 0):
        for rows in torch.randperm(len(labels), generator=order).split(recipe.batch_size):
            step(images.index_select(0, rows), labels.index_select(0, rows), epoch)


def _name_of(method: Method) -> str:
    return next(name for name in SETTINGS if method_class(name) is type(method))


def _layers(network: Any) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for layer in network.backbone.layers:
        layers += [layer, nn.ReLU()]
    return [*layers, network.head.linear]


def _finetune(method: Any, network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    def step(x: Tensor, y: Tensor, epoch: int) -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()

    return step


def _stored(method: Any, examples: Examples) -> tuple[Tensor, Tensor]:
    return method.normalise(examples.images), examples.labels.clone()


def _drawn(population: int, n: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(population, generator=generator)[:n]


class _Reservoir:
    """Algorithm R on float tensors of one length, a batch at a time."""

    def __init__(self, buffer: Any, *tensors: Tensor):
        self.tensors, self.seen, self.capacity, self.generator = tensors, buffer.seen, buffer.capacity, buffer.generator

    def add(self, *new: Tensor) -> None:
        order = np.arange(self.seen, self.seen + len(new[0]))
        draws = torch.rand(len(order), generator=self.generator, dtype=torch.float64).numpy()
        slots, last = np.unique((draws * (order + 1)).astype(np.int64)[::-1], return_index=True)
        kept = slots < self.capacity  # the buffer is full: the first task was longer
        to, rows = torch.from_numpy(slots[kept]), torch.from_numpy(len(order) - 1 - last[kept])
        for tensor, values in zip(self.tensors, new, strict=True):
            tensor[to] = values[rows]
        self.seen += len(order)


def _er(method: Any, network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    old_x, old_y = _stored(method, method.buffer.examples)
    reservoir = _Reservoir(method.buffer, old_x, old_y)

    def step(x: Tensor, y: Tensor, epoch: int) -> None:
        rows = _drawn(len(old_y), len(y), reservoir.generator)
        optimizer.zero_grad()
        images, labels = torch.cat([x, old_x.index_select(0, rows)]), torch.cat([y, old_y.index_select(0, rows)])
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        if epoch == 0:
            reservoir.add(x, y)

    return step


def _derpp(method: Any, network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    old_x, old_y = _stored(method, method.buffer.examples)
    old_logits = method.buffer.beside["logits"].clone()
    reservoir = _Reservoir(method.buffer, old_x, old_y, old_logits)

    def step(x: Tensor, y: Tensor, epoch: int) -> None:
        optimizer.zero_grad()
        logits = network(x)
        loss = F.cross_entropy(logits, y)
        rows = _drawn(len(old_y), len(y), reservoir.generator)
        loss = loss + method.alpha * F.mse_loss(network(old_x.index_select(0, rows)), old_logits.index_select(0, rows))
        rows = _drawn(len(old_y), len(y), reservoir.generator)
        loss = loss + method.beta * F.cross_entropy(network(old_x.index_select(0, rows)), old_y.index_select(0, rows))
        loss.backward()
        optimizer.step()
        if epoch == 0:
            reservoir.add(x, y, logits.detach())

    return step


def _ewc(method: Any, network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    weights = list(network.parameters())
    parameters = [p.detach() for p in weights]
    importance, anchor = method.penalty.importance, method.penalty.anchor

    def step(x: Tensor, y: Tensor, epoch: int) -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        pull = torch._foreach_sub(parameters, anchor)
        torch._foreach_mul_(pull, importance)
        torch._foreach_add_([p.grad for p in weights if p.grad is not None], pull, alpha=method.strength)
        optimizer.step()

    return step


def _si(method: Any, network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    weights = list(network.parameters())
    parameters = [p.detach() for p in weights]
    importance, anchor = method.penalty.importance, method.penalty.anchor
    path = [torch.zeros_like(p) for p in parameters]

    def step(x: Tensor, y: Tensor, epoch: int) -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        gradients = [p.grad for p in weights if p.grad is not None]
        before, gradient = [p.clone() for p in parameters], [g.clone() for g in gradients]
        pull = torch._foreach_sub(parameters, anchor)
        torch._foreach_mul_(pull, importance)
        torch._foreach_add_(gradients, pull, alpha=2 * method.strength)
        optimizer.step()
        moved = torch._foreach_sub(parameters, before)
        torch._foreach_mul_(moved, gradient)
        torch._foreach_sub_(path, moved)

    return step


def _lwf(method: Any, network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    teacher, t = nn.Sequential(nn.Flatten(), *_layers(method.teacher.network)), method.temperature

    def step(x: Tensor, y: Tensor, epoch: int) -> None:
        optimizer.zero_grad()
        logits = network(x)
        with torch.no_grad():
            soft = F.softmax(teacher(x) / t, dim=1)
        old = -(soft * F.log_softmax(logits / t, dim=1)).sum(1).mean() * t**2
        (F.cross_entropy(logits, y) + method.strength * old).backward()
        optimizer.step()

    return step


def _flat(gradients: Any) -> Tensor:
    return torch.cat([g.flatten() for g in gradients])


def _write(vector: Tensor, parameters: list[nn.Parameter]) -> None:
    for p, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p)


def _a_gem(method: Any, network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    old_x, old_y = _stored(method, method.buffer.all())
    parameters, draws = list(network.parameters()), method._draws

    def step(x: Tensor, y: Tensor, epoch: int) -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        rows = _drawn(len(old_y), len(y), draws)
        old = F.cross_entropy(network(old_x.index_select(0, rows)), old_y.index_select(0, rows))
        reference = _flat(torch.autograd.grad(old, parameters))
        gradient = _flat(p.grad for p in parameters)
        along, square = torch.dot(gradient, reference), torch.dot(reference, reference)
        if along < 0:
            _write(gradient - along / square * reference, parameters)
        optimizer.step()

    return step


def _gem(method: Any, network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    past = [_stored(method, examples) for examples in method.buffer.tasks]
    parameters = list(network.parameters())

    def step(x: Tensor, y: Tensor, epoch: int) -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        losses = (F.cross_entropy(network(old_x), old_y) for old_x, old_y in past)
        constraints = torch.stack([_flat(torch.autograd.grad(loss, parameters)) for loss in losses])
        gradient = _flat(p.grad for p in parameters)
        if (constraints @ gradient < 0).any():
            _write(project(gradient, constraints, method.margin), parameters)
        optimizer.step()

    return step


LOOPS: dict[str, Callable[[Any, nn.Module, torch.optim.Optimizer], Step]] = {
    "finetune": _finetune,
    "er": _er,
    "ewc": _ewc,
    "si": _si,
    "lwf": _lwf,
    "a-gem": _a_gem,
    "derpp": _derpp,
    "gem": _gem,
}


def copied(method: Method) -> Method:
    """A method inside a task, with everything that it has, to be trained on by itself."""
    copied = copy.deepcopy(method)
    copied.task = method.task  # left out of a copy, as of a checkpoint
    return copied


def step_ratios(scenario: Scenario, name: str, recipe: Recipe, model: ModelSettings, pairs: int) -> list[float]:
    """CPU seconds of the harness over those of the lean loop, for each of `pairs` pairs."""
    ready = before_the_second_task(scenario, name, recipe, model)
    ratios = []
    for _ in range(pairs):
        lean, ours = copied(ready), copied(ready)
        phase = next(iter(ours.phases(ours.task)))
        with fast_products("cpu"):
            start = time.process_time()
            lean_loop(lean, recipe)
            middle = time.process_time()
            fit(ours, phase, Trainer())
            ratios.append((time.process_time() - middle) / (middle - start))
    return ratios


def evaluation_ratios(scenario: Scenario, recipe: Recipe, model: ModelSettings, pairs: int) -> list[float]:
    """CPU seconds of a row of the accuracy matrix over those of whole test sets, normalised once, through the network."""
    method = before_the_second_task(scenario, "finetune", recipe, model)
    network = nn.Sequential(nn.Flatten(), *_layers(method.network))
    tests = [task.test.kept for task in scenario.tasks]
    ready = [(method.normalise(test.images), test.labels) for test in tests]
    ratios = []
    for _ in range(pairs):
        with fast_products("cpu"), torch.no_grad():
            start = time.process_time()
            by_hand = [int((network(x).argmax(1) == y).sum()) for x, y in ready]
            middle = time.process_time()
            row = evaluate(method, scenario)
            ratios.append((time.process_time() - middle) / (middle - start))
        assert by_hand == [counts[0] for counts in row if counts], "both answer alike"
    return ratios


def report_steps(scenario: Scenario, recipe: Recipe, model: ModelSettings, pairs: int = 7) -> None:
    """Prints the median ratio for each method and batch size, beside its target."""
    print(f"steps on {scenario.name}, one thread: CPU time of the harness over a lean loop, {pairs} pairs")
    for batch_size, most in MOST.items():
        changed = recipe.model_copy(update={"batch_size": batch_size, "epochs": 2 if batch_size == 64 else 1})
        for name in SETTINGS:
            line = _summary(step_ratios(scenario, name, changed, model, pairs), most)
            print(f"  batch {batch_size}  {name:<9} {line}", flush=True)


def report_evaluation(scenario: Scenario, recipe: Recipe, model: ModelSettings, pairs: int = 7) -> None:
    """The same for a row of the accuracy matrix."""
    changed = recipe.model_copy(update={"epochs": 1})
    print(f"  evaluation          {_summary(evaluation_ratios(scenario, changed, model, pairs), MOST[64])}", flush=True)


def _summary(ratios: list[float], most: float) -> str:
    median = statistics.median(ratios)
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    return f"{median:.3f} ({spread}; target {most}: {'met' if median <= most else 'missed'})"
